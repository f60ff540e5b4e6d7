package actors

import (
	"context"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/journal"
)

func TestArtifactHash(t *testing.T) {
	lockfile := []byte("version = 1\n")
	env := string(journal.DigestOf(lockfile))
	right := string(journal.DigestOf(append(pluginSource[:len(pluginSource):len(pluginSource)], lockfile...)))
	wrong := strings.Repeat("ab", 32)
	for name, c := range map[string]struct {
		check ArtifactCheck
		env   string
		hash  string
		fails bool
	}{
		"off":                    {ArtifactOff, env, wrong, false},
		"warn":                   {ArtifactWarn, env, wrong, false},
		"enforce":                {ArtifactEnforce, env, wrong, true},
		"enforce, right":         {ArtifactEnforce, env, right, false},
		"enforce, in capitals":   {ArtifactEnforce, env, strings.ToUpper(right), false},
		"enforce, none given":    {ArtifactEnforce, env, "", false},
		"enforce, no lockfile":   {ArtifactEnforce, "system", wrong, false},
		"enforce, off the rails": {ArtifactEnforce, env, "not a hash", true},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDesk(t, t.TempDir(), 1)
			d.coordinator.config.ArtifactCheck = c.check // before any job
			ctx := context.Background()
			if _, err := d.journal.Append(ctx, journal.EnvironmentRequested{EnvHash: env, Lockfile: journal.DigestOf(lockfile)}, lockfile); err != nil {
				t.Fatal(err)
			}
			if _, err := d.journal.Append(ctx, journal.EnvironmentReady{EnvHash: env, Interpreter: "/python"}); err != nil {
				t.Fatal(err)
			}
			d.tell(Connected{Connection: 1})
			spec := someSpec
			spec.EnvHash, spec.ArtifactHash = c.env, c.hash
			d.dispatch(1, 1, spec)
			d.provide(nil)
			if !c.fails {
				d.started()
				return
			}
			r := d.receipt(1, journal.Failed)
			for _, hash := range []string{c.hash, right} {
				if !strings.Contains(r.Receipt.Error, hash) {
					t.Errorf("the error does not name %s: %s", hash, r.Receipt.Error)
				}
			}
		})
	}
}
