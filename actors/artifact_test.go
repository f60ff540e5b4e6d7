package actors

import (
	"errors"
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
			// The environment is there already: the coordinator would ask for one that is
			// only requested.
			folder := t.TempDir()
			j, err := journal.Open(folder, journal.Options{})
			if err != nil {
				t.Fatal(err)
			}
			_, requested := j.Append(t.Context(), journal.EnvironmentRequested{EnvHash: env, Lockfile: journal.DigestOf(lockfile)}, lockfile)
			_, ready := j.Append(t.Context(), journal.EnvironmentReady{EnvHash: env, Interpreter: "/python"})
			if err := errors.Join(requested, ready, j.Close()); err != nil {
				t.Fatal(err)
			}
			d := openDesk(t, folder, 1)
			d.coordinator.config.ArtifactCheck = c.check // before any job
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
