// Package ops is what an operator touches: configuration, the daemon's start and
// stop, the control socket, and the views of the journal.
package ops

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"
)

// Config is every option of the daemon. A flag beats its variable, and the
// variable beats the default. The tags are the one place that names an option:
// flags, variables, `casparian-worker config` and the README's table (a test
// compares them) all come from here.
type Config struct {
	Connect     List   `envconfig:"CONNECT" flag:"connect" help:"Sentinel's address, tcp://HOST:PORT or ipc://PATH; several, a,b,c, are tried in order"`
	Plugins     List   `envconfig:"PLUGINS" flag:"plugins" help:"plugin names to take jobs for, a,b,c: the Sentinel matches them literally"`
	Output      string `envconfig:"OUTPUT" flag:"output" default:"~/.casparian_flow/output" help:"root folder of the output"`
	StateDir    string `envconfig:"STATE_DIR" flag:"state-dir" default:"~/.casparian_flow/worker" help:"folder of the journal; one worker at a time"`
	VenvsDir    string `envconfig:"VENVS_DIR" flag:"venvs-dir" default:"~/.casparian_flow/venvs" help:"folder of the Python environments, by env_hash"`
	WorkerID    string `envconfig:"WORKER_ID" flag:"worker-id" help:"name towards the Sentinel; empty: made once and kept in the state folder"`
	Concurrency int    `envconfig:"CONCURRENCY" flag:"concurrency" default:"0" help:"jobs to run at once; 0: one for each core"`
	Lanes       int    `envconfig:"LANES" flag:"lanes" default:"0" help:"connections to the Sentinel, each of which is given one job at a time; 0: as many as jobs may run at once"`
	ForgetLanes Switch `envconfig:"FORGET_LANES" flag:"forget-lanes" default:"false" help:"stop serving lanes of earlier starts beyond --lanes: only when the Sentinel was started anew since"`

	CurveServerKey  string `envconfig:"CURVE_SERVER_KEY" flag:"curve-server-key" help:"public key of the Sentinel (Z85): the link is encrypted, and no other Sentinel is talked to"`
	CurveSecretFile string `envconfig:"CURVE_SECRET_KEY_FILE" flag:"curve-secret-key-file" help:"file with the worker's secret key (Z85), from 'keys generate'; with no secret key one is made for each run"`
	CurveSecret     Secret `envconfig:"CURVE_SECRET_KEY" help:"the secret key itself, instead of a file"`
	RequireCurve    Switch `envconfig:"REQUIRE_CURVE" flag:"require-curve" default:"false" help:"refuse to start when the link leaves this machine without CURVE"`
	PlainUsername   string `envconfig:"PLAIN_USERNAME" flag:"plain-username" help:"name for the PLAIN mechanism, which encrypts nothing"`
	PlainFile       string `envconfig:"PLAIN_PASSWORD_FILE" flag:"plain-password-file" help:"file with the password for PLAIN"`
	PlainPassword   Secret `envconfig:"PLAIN_PASSWORD" help:"the password itself, instead of a file"`

	MemoryLimit Size `envconfig:"MEMORY_LIMIT" flag:"memory-limit" default:"0" help:"memory that running guests may be expected to take together, learned from each plugin's past; 0: no limit"`

	UV         string `envconfig:"UV" flag:"uv" help:"uv executable that builds environments; empty: the one on PATH"`
	Python     string `envconfig:"PYTHON" flag:"python" help:"interpreter of the environment 'system'; empty: python3 on PATH"`
	VenvsMax   Size   `envconfig:"VENVS_MAX" flag:"venvs-max" default:"20GiB" help:"size of built environments above which the least recently used goes; 0: no cap"`
	BuildLimit Period `envconfig:"BUILD_TIMEOUT" flag:"build-timeout" default:"15m" help:"time for building one environment"`

	ArtifactCheck string `envconfig:"ARTIFACT_CHECK" flag:"artifact-check" default:"warn" help:"a job whose artifact_hash is not that of its source and lockfile: off, warn or enforce (FAILED)"`

	GuestShim    string `envconfig:"GUEST_SHIM" flag:"guest-shim" help:"guest program to use instead of the built-in one (version 1 or 2)"`
	WarmGuests   Places `envconfig:"WARM_GUESTS" flag:"warm-guests" default:"4" help:"warm interpreters to keep, one for each environment in use, or off"`
	LearnImports Switch `envconfig:"LEARN_IMPORTS" flag:"learn-imports" default:"false" help:"whether plugins whose jobs come often get a warm interpreter with their own imports"`
	ConnectLimit Period `envconfig:"GUEST_CONNECT_TIMEOUT" flag:"guest-connect-timeout" default:"1m" help:"time for a guest to start and connect"`
	SilenceLimit Period `envconfig:"GUEST_SILENCE_TIMEOUT" flag:"guest-silence-timeout" default:"1h" help:"time that a guest may send nothing; 0: no limit"`
	Reattach     Period `envconfig:"REATTACH" flag:"reattach" default:"1m" help:"time that a guest waits for the next worker when this one dies, and goes on with it; 0: it dies, too (Linux)"`
	JobLimit     Period `envconfig:"JOB_TIMEOUT" flag:"job-timeout" default:"24h" help:"time for one attempt of a job; 0: no limit"`
	FrameLimit   Size   `envconfig:"MAX_FRAME" flag:"max-frame" default:"256MiB" help:"largest frame taken from a guest"`

	Compression     string `envconfig:"COMPRESSION" flag:"compression" default:"snappy" help:"Parquet codec where a sink names none: snappy, zstd, gzip, lz4, none"`
	RowGroupRows    int64  `envconfig:"ROW_GROUP_ROWS" flag:"row-group-rows" default:"262144" help:"rows after which a Parquet row group is cut"`
	RowGroupBytes   Size   `envconfig:"ROW_GROUP_BYTES" flag:"row-group-bytes" default:"24MiB" help:"Arrow bytes after which a Parquet row group is cut"`
	CheckpointEvery Period `envconfig:"CHECKPOINT_EVERY" flag:"checkpoint-every" default:"2s" help:"time after which the complete row groups of a job are made durable, to be gone on with after a crash, or 256 MiB if they come sooner; 0: each one"`

	Heartbeat    Period `envconfig:"HEARTBEAT" flag:"heartbeat" default:"10s" help:"time between HEARTBEAT messages, and between pings of the link"`
	MaxMessage   Size   `envconfig:"MAX_MESSAGE" flag:"max-message" default:"256MiB" help:"largest message taken from the Sentinel"`
	DrainTimeout Period `envconfig:"DRAIN_TIMEOUT" flag:"drain-timeout" default:"5m" help:"time for running jobs to finish after SIGTERM"`
	MaxCrashes   int    `envconfig:"MAX_CRASHES" flag:"max-crashes" default:"100" help:"worker deaths under one job after which it is FAILED"`

	ReceiptLimit Period `envconfig:"RECEIPT_TIMEOUT" flag:"receipt-timeout" default:"168h" help:"time after which a receipt that the Sentinel does not take is not sent by itself any more; 0: never"`

	JournalKeep Period `envconfig:"JOURNAL_KEEP" flag:"journal-keep" default:"720h" help:"time that a job stays in the journal when it is over; 0: for ever"`
	JournalMax  Size   `envconfig:"JOURNAL_MAX" flag:"journal-max" default:"1GiB" help:"size of the journal above which the oldest jobs that are over go; 0: no cap"`

	LogLevel  string `envconfig:"LOG_LEVEL" flag:"log-level" default:"info" help:"debug, info, warn or error"`
	LogFormat string `envconfig:"LOG_FORMAT" flag:"log-format" default:"text" help:"text or json"`
}

// OptionError names an option whose value cannot be used.
type OptionError struct {
	Flag   string // without dashes, or the variable of an option that has no flag
	Value  string
	Reason string
}

func (e *OptionError) Error() string {
	if strings.HasPrefix(e.Flag, envPrefix) {
		return fmt.Sprintf("%s: %s", e.Flag, e.Reason) // a secret: its value is not shown
	}
	return fmt.Sprintf("--%s (%s): %q: %s", e.Flag, VariableOf(e.Flag), e.Value, e.Reason)
}

// Resolve puts in place what depends on the machine: the home folder, absolute
// paths, the number of cores. Call it before Check.
func (c *Config) Resolve() error {
	for flag, dir := range map[string]*string{"output": &c.Output, "state-dir": &c.StateDir, "venvs-dir": &c.VenvsDir, "guest-shim": &c.GuestShim,
		"curve-secret-key-file": &c.CurveSecretFile, "plain-password-file": &c.PlainFile} {
		if *dir == "" {
			continue
		}
		path, err := expand(*dir)
		if err != nil {
			return &OptionError{flag, *dir, err.Error()}
		}
		*dir = path
	}
	if c.Concurrency == 0 {
		c.Concurrency = runtime.NumCPU()
	}
	if c.Lanes == 0 {
		c.Lanes = min(max(c.Concurrency, 1), maxLanes)
	}
	return nil
}

func expand(path string) (string, error) {
	if path == "~" || strings.HasPrefix(path, "~/") {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", errors.New("there is no home folder here: give an absolute path")
		}
		path = filepath.Join(home, path[1:])
	}
	return filepath.Abs(path)
}

// Check refuses values that cannot work, naming the option.
func (c *Config) Check() error {
	refuse := func(flag, value, reason string) error { return &OptionError{flag, value, reason} }
	if len(c.Connect) == 0 {
		return refuse("connect", "", "is missing: "+wantAddress)
	}
	for _, address := range c.Connect {
		if err := checkEndpoint(address); err != nil {
			return refuse("connect", address, err.Error())
		}
	}
	if err := c.checkSecurity(); err != nil {
		return err
	}
	for _, name := range c.Plugins {
		if strings.Contains(name, "*") {
			return refuse("plugins", name, "the Sentinel compares names literally and would never match a pattern: list every plugin by its name")
		}
	}
	for _, dir := range []struct{ flag, path string }{{"output", c.Output}, {"state-dir", c.StateDir}, {"venvs-dir", c.VenvsDir}} {
		if dir.path == "" {
			return refuse(dir.flag, dir.path, "must name a folder")
		}
		if info, err := os.Stat(dir.path); err == nil && !info.IsDir() {
			return refuse(dir.flag, dir.path, "is not a folder")
		}
	}
	if c.GuestShim != "" {
		if info, err := os.Stat(c.GuestShim); err != nil || info.IsDir() {
			return refuse("guest-shim", c.GuestShim, "is not a file that can be read")
		}
	}
	if !utf8.ValidString(c.WorkerID) || len(c.WorkerID) > 255 || strings.HasPrefix(c.WorkerID, "\x00") {
		return refuse("worker-id", c.WorkerID, "must be UTF-8 of at most 255 bytes that does not begin with NUL: it is the ZeroMQ identity")
	}
	if c.Concurrency < 1 || c.Concurrency > 1024 {
		return refuse("concurrency", fmt.Sprint(c.Concurrency), "must be from 1 to 1024, or 0 for one job on each core")
	}
	if c.WarmGuests > 256 {
		return refuse("warm-guests", c.WarmGuests.String(), "must be from 1 to 256, or off")
	}
	if c.Lanes < 1 || c.Lanes > maxLanes {
		return refuse("lanes", fmt.Sprint(c.Lanes), fmt.Sprintf("must be from 1 to %d, or 0 for as many as --concurrency", maxLanes))
	}
	if last := laneIdentity(c.WorkerID, uint32(c.Lanes-1)); len(last) > 255 {
		return refuse("worker-id", c.WorkerID, fmt.Sprintf("is too long: with it the last lane is called %s, and at most 255 bytes are possible", last))
	}
	if !oneOf(c.ArtifactCheck, "off", "warn", "enforce") {
		return refuse("artifact-check", c.ArtifactCheck, "must be off, warn or enforce")
	}
	if c.MaxCrashes < 1 {
		return refuse("max-crashes", fmt.Sprint(c.MaxCrashes), "must be at least 1")
	}
	if c.RowGroupRows < 1 {
		return refuse("row-group-rows", fmt.Sprint(c.RowGroupRows), "must be at least 1")
	}
	if c.RowGroupBytes < 64<<10 {
		return refuse("row-group-bytes", c.RowGroupBytes.String(), "must be at least 64KiB")
	}
	if c.FrameLimit < 1<<20 || c.FrameLimit > 4<<30-2 {
		return refuse("max-frame", c.FrameLimit.String(), "must be from 1MiB to just under 4GiB")
	}
	if c.MaxMessage < 1<<20 {
		return refuse("max-message", c.MaxMessage.String(), "must be at least 1MiB")
	}
	if c.JournalMax != 0 && c.JournalMax < 1<<20 {
		return refuse("journal-max", c.JournalMax.String(), "must be at least 1MiB, or 0 for no cap")
	}
	if c.Heartbeat < Period(100*time.Millisecond) || c.Heartbeat > Period(time.Hour) {
		return refuse("heartbeat", c.Heartbeat.String(), "must be from 100ms to 1h")
	}
	for _, p := range []struct {
		flag  string
		value Period
		zero  bool
	}{
		{"build-timeout", c.BuildLimit, false}, {"guest-connect-timeout", c.ConnectLimit, false},
		{"guest-silence-timeout", c.SilenceLimit, true}, {"reattach", c.Reattach, true}, {"job-timeout", c.JobLimit, true}, {"drain-timeout", c.DrainTimeout, true},
		{"receipt-timeout", c.ReceiptLimit, true}, {"checkpoint-every", c.CheckpointEvery, true}, {"journal-keep", c.JournalKeep, true},
	} {
		if p.value < 0 || p.value == 0 && !p.zero {
			return refuse(p.flag, p.value.String(), "must be a time span above zero, such as 30s or 5m")
		}
	}
	if !oneOf(c.Compression, "snappy", "zstd", "gzip", "lz4", "none") {
		return refuse("compression", c.Compression, "must be snappy, zstd, gzip, lz4 or none")
	}
	if !oneOf(c.LogLevel, "debug", "info", "warn", "error") {
		return refuse("log-level", c.LogLevel, "must be debug, info, warn or error")
	}
	if !oneOf(c.LogFormat, "text", "json") {
		return refuse("log-format", c.LogFormat, "must be text or json")
	}
	return nil
}

func oneOf(value string, legal ...string) bool {
	for _, l := range legal {
		if value == l {
			return true
		}
	}
	return false
}

const wantAddress = "give the Sentinel's address, for example tcp://127.0.0.1:5555"

func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return errors.New(wantAddress)
	}
	switch u.Scheme {
	case "tcp":
		if u.Hostname() == "" || u.Port() == "" || u.Hostname() == "*" || strings.Trim(u.Path, "/") != "" {
			return errors.New(wantAddress)
		}
	case "ipc":
		if u.Host == "" && u.Path == "" {
			return errors.New("give a socket's path, for example ipc:///run/sentinel.sock")
		}
	default:
		return errors.New("begins with neither tcp:// nor ipc://: " + wantAddress)
	}
	return nil
}
