package ops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/casparian-flow/casparian-worker/protocol/link"
)

// Verdict is how a check of the doctor ended.
type Verdict string

// The verdicts.
const (
	Good Verdict = "ok"
	Warn Verdict = "warning" // the worker runs, but somebody should look at it
	Bad  Verdict = "FAILED"  // the worker, or its jobs, will not work
)

// Finding is what the doctor says of one thing.
type Finding struct {
	What    string
	Verdict Verdict
	Detail  string
}

const (
	littleRoom = 1 << 30  // bytes: below, a warning
	noRoom     = 64 << 20 // bytes: below, nothing can be done

	// doctorPatience is for each program that is asked and each address that is tried.
	doctorPatience = 20 * time.Second
)

// Examine checks an installation as somebody does before it goes live: the options,
// the folders, the programs, the Sentinel, the security. It changes nothing, and a
// worker that runs is not disturbed. Each finding goes to tell as soon as it is
// there. It returns whether nothing was bad.
func Examine(ctx context.Context, config Config, tell func(Finding)) bool {
	healthy := true
	say := func(what string, verdict Verdict, format string, args ...any) {
		healthy = healthy && verdict != Bad
		tell(Finding{what, verdict, fmt.Sprintf(format, args...)})
	}
	if err := config.Check(); err != nil {
		say("configuration", Bad, "%v", err)
	} else {
		say("configuration", Good, "every option can be used")
	}
	if len(config.Plugins) == 0 {
		say("plugins", Warn, "none are listed, so the Sentinel will give this worker no job: name them with --plugins")
	} else {
		say("plugins", Good, "%s", config.Plugins)
	}
	if status, err := AskStatus(ctx, config.StateDir); err == nil {
		say("worker", Good, "%s runs on this state folder (pid %d)", status.WorkerID, status.PID)
	}
	for _, folder := range []struct{ what, path string }{
		{"state folder", config.StateDir}, {"output folder", config.Output}, {"venvs folder", config.VenvsDir},
	} {
		verdict, detail := examineFolder(folder.path)
		say(folder.what, verdict, "%s: %s", folder.path, detail)
	}
	verdict, detail := examineProgram(ctx, Bad, []string{cmp.Or(config.UV, "uv")}, "--version")
	say("uv", verdict, "%s", detail)
	names := []string{"python3", "python"}
	if config.Python != "" {
		names = []string{config.Python}
	}
	verdict, detail = examineProgram(ctx, Warn, names, "--version")
	say("python", verdict, "%s", detail)

	verdict, detail = examineSecurity(config)
	say("security", verdict, "%s", detail)
	for _, f := range examineAddresses(ctx, config) {
		say(f.What, f.Verdict, "%s", f.Detail)
	}
	return healthy
}

// examineFolder writes into a folder, or into the one in which it will be made.
func examineFolder(path string) (Verdict, string) {
	note := ""
	for {
		info, err := os.Stat(path)
		if err == nil && !info.IsDir() {
			return Bad, path + " is not a folder"
		}
		if err == nil {
			break
		}
		parent := filepath.Dir(path)
		if !errors.Is(err, fs.ErrNotExist) || parent == path {
			return Bad, plainPath(err)
		}
		path, note = parent, ", will be made"
	}
	trial, err := os.CreateTemp(path, ".casparian-doctor-*")
	if err != nil {
		return Bad, "cannot be written: " + plainPath(err)
	}
	_, err = trial.WriteString("trial")
	err = errors.Join(err, trial.Sync(), trial.Close(), os.Remove(trial.Name()))
	if err != nil {
		return Bad, "cannot be written: " + plainPath(err)
	}
	room, err := roomOn(path)
	switch {
	case err != nil:
		return Warn, "can be written" + note + "; how much room there is cannot be told: " + plainPath(err)
	case room < noRoom:
		return Bad, fmt.Sprintf("only %s are free", Bytes(room))
	case room < littleRoom:
		return Warn, fmt.Sprintf("can be written%s; only %s are free", note, Bytes(room))
	}
	return Good, fmt.Sprintf("can be written%s, %s free", note, Bytes(room))
}

// examineProgram runs the first of the names that is there.
func examineProgram(ctx context.Context, missing Verdict, names []string, argument string) (Verdict, string) {
	var path string
	var err error
	for _, name := range names {
		if path, err = exec.LookPath(name); err == nil {
			break
		}
	}
	if err != nil {
		return missing, fmt.Sprintf("%v: %s", err, map[Verdict]string{
			Bad: "no environment can be built; install it or name it", Warn: "jobs with the environment 'system' will fail"}[missing])
	}
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	command := exec.CommandContext(ctx, path, argument)
	command.WaitDelay = time.Second
	output, err := command.CombinedOutput()
	if err != nil {
		return missing, fmt.Sprintf("%s %s: %v: %s", path, argument, err, firstLine(strings.TrimSpace(string(output))))
	}
	return Good, fmt.Sprintf("%s, %s", path, firstLine(strings.TrimSpace(string(output))))
}

// examineSecurity looks at how the link proves and hides things.
func examineSecurity(config Config) (Verdict, string) {
	exposed := config.Exposed()
	switch {
	case bool(config.RequireCurve) && exposed != "":
		return Bad, exposed
	case exposed != "":
		return Warn, exposed
	}
	for _, path := range []string{config.CurveSecretFile, config.PlainFile} {
		if path == "" || runtime.GOOS == "windows" {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
			return Warn, fmt.Sprintf("%s can be read by others (%s): chmod 600 it", path, info.Mode().Perm())
		}
	}
	switch {
	case config.CurveServerKey == "":
		return Good, "the link does not leave this machine"
	case config.CurveSecretFile == "" && config.CurveSecret == "":
		return Good, "CURVE, with a key that is made for each run: the Sentinel cannot tell workers apart by their keys"
	}
	return Good, "CURVE"
}

// examineAddresses tries every address. Where one answers, the others need not.
func examineAddresses(ctx context.Context, config Config) (findings []Finding) {
	answered := false
	for _, address := range config.Connect {
		verdict, detail := examineAddress(ctx, config, address)
		answered = answered || verdict == Good
		findings = append(findings, Finding{"sentinel", verdict, address + ": " + detail})
	}
	for i := range findings {
		if answered && findings[i].Verdict == Bad {
			findings[i].Verdict = Warn
		}
	}
	return findings
}

// examineAddress resolves an address and shakes hands with who is there.
func examineAddress(ctx context.Context, config Config, address string) (Verdict, string) {
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	resolved := ""
	if u, err := url.Parse(address); err == nil && u.Scheme == "tcp" && net.ParseIP(u.Hostname()) == nil {
		found, err := net.DefaultResolver.LookupHost(ctx, u.Hostname())
		if err != nil {
			return Bad, fmt.Sprintf("the name cannot be resolved: %v", err)
		}
		resolved = strings.Join(found, " ") + ", "
	}
	curve, plain, err := config.credentials()
	if err != nil {
		return Bad, "not tried: the configuration must be mended first"
	}
	peer, took, err := link.Probe(ctx, link.Config{Endpoint: address, Identity: "doctor", Curve: curve, Plain: plain})
	switch {
	case err != nil:
		return Bad, fmt.Sprintf("%sno handshake (%s): %v", resolved, link.KindOf(err), err)
	case peer != "ROUTER":
		return Bad, fmt.Sprintf("%sa %s answers, and a Sentinel is a ROUTER", resolved, peer)
	}
	return Good, fmt.Sprintf("%sa ROUTER answers, handshake in %s", resolved, took.Round(time.Microsecond))
}
