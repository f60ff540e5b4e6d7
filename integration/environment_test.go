//go:build unix

package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/harness"
	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// lock is a real uv.lock of a project that needs a package, made now: a lock
// names the registry that its packages come from, so none is kept in the tree.
func (s *story) lock(dependencies ...string) (lockfile, envHash string) {
	s.Helper()
	folder := s.TempDir()
	project := "[project]\nname = \"plugin-environment\"\nversion = \"1.0.0\"\nrequires-python = \">=3.11\"\ndependencies = [\"" +
		strings.Join(dependencies, `", "`) + "\"]\n"
	if err := os.WriteFile(filepath.Join(folder, "pyproject.toml"), []byte(project), 0o644); err != nil {
		s.Fatal(err)
	}
	command := exec.Command(parts.UV(s), "lock", "--python", parts.Python(s))
	command.Dir = folder
	command.Env = s.site.Environ()
	if output, err := command.CombinedOutput(); err != nil {
		s.Fatalf("uv lock: %v\n%s", err, output)
	}
	text, err := os.ReadFile(filepath.Join(folder, "uv.lock"))
	if err != nil {
		s.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return string(text), hex.EncodeToString(sum[:])
}

// ready waits for an ENV_READY at or behind a mark.
func (s *story) ready(mark int) harness.EnvReady {
	s.Helper()
	message := s.sentinel.Await("ENV_READY", mark, func(m harness.Message) bool { return m.Op == "ENV_READY" || m.Op == "ERR" })
	if message.Op == "ERR" {
		s.Fatalf("the environment could not be built: %s", message.Payload)
	}
	return harness.Decode[harness.EnvReady](s, message.Payload)
}

func TestPreparedEnvironmentHasTheLockedPackages(t *testing.T) {
	t.Parallel()
	s := begin(t, "imports")
	lockfile, envHash := s.lock("iniconfig", "pyarrow")
	job := s.job(1, "imports", nil)
	job.EnvHash = envHash
	s.failed(s.run(job), "Environment "+envHash[:12]+" not provisioned")

	// Two requests and a job, without waiting for an answer: one build serves all.
	mark := s.sentinel.Mark()
	s.sentinel.PrepareEnv(s.worker.Identity, envHash, lockfile, "")
	s.sentinel.PrepareEnv(s.worker.Identity, envHash, lockfile, "")
	job.ID = 2
	s.sentinel.Submit(job)
	ready := s.ready(mark)
	if ready.EnvHash != envHash || ready.Cached {
		t.Errorf("%+v, want env_hash %s, cached false", ready, envHash)
	}
	if !strings.HasPrefix(ready.InterpreterPath, filepath.Join(s.site.Venvs, envHash)) {
		t.Errorf("interpreter %s is not in %s", ready.InterpreterPath, filepath.Join(s.site.Venvs, envHash))
	}
	s.succeeded(s.sentinel.Receipt(2), 1)
	program := "import sys, pyarrow.parquet as pq; print(*pq.ParquetFile(sys.argv[1]).read()['package'].to_pylist())"
	place := strings.TrimSpace(string(harness.Python(t, nil, "-c", program, filepath.Join(s.site.Output, "out/imports_2.parquet"))))
	if !strings.HasPrefix(place, filepath.Join(s.site.Venvs, envHash)) {
		t.Errorf("the plugin imported %s, want the package of its environment", place)
	}

	again := s.sentinel.Mark()
	s.sentinel.PrepareEnv(s.worker.Identity, envHash, lockfile, "")
	if ready := s.ready(again); !ready.Cached || ready.EnvHash != envHash {
		t.Errorf("%+v for an environment that is there, want cached true", ready)
	}

	// It is there for the next process, too.
	s.worker.Terminate()
	s.worker.Wait()
	s.worker = s.site.Start()
	job.ID = 3
	s.succeeded(s.run(job), 1)
}

func TestEnvironmentsThatCannotBe(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	lockfile, envHash := s.lock("iniconfig")
	other := strings.Repeat("ab", 32)
	nonsense := "this is no lock"
	sum := sha256.Sum256([]byte(nonsense))
	for _, c := range []struct{ name, hash, lock, python string }{
		{"another hash", other, lockfile, ""},
		{"no lockfile", hex.EncodeToString(sum[:]), nonsense, ""},
		{"a Python that does not exist", envHash, lockfile, "3.99"},
	} {
		mark := s.sentinel.Mark()
		s.sentinel.PrepareEnv(s.worker.Identity, c.hash, c.lock, c.python)
		message := s.sentinel.Await("an answer", mark, func(m harness.Message) bool { return m.Op == "ERR" || m.Op == "ENV_READY" })
		if message.Op != "ERR" {
			t.Errorf("%s: answered with %s", c.name, message.Op)
			continue
		}
		report := harness.Decode[harness.ErrorReport](t, message.Payload)
		if !strings.Contains(report.Message, c.hash[:12]) {
			t.Errorf("%s: the message does not name the environment: %q", c.name, report.Message)
		}
		if _, err := os.Stat(filepath.Join(s.site.Venvs, c.hash)); err == nil {
			t.Errorf("%s: something is left under the hash", c.name)
		}
	}
	// A right request for a hash that failed before is tried afresh.
	mark := s.sentinel.Mark()
	s.sentinel.PrepareEnv(s.worker.Identity, envHash, lockfile, "")
	if ready := s.ready(mark); ready.EnvHash != envHash {
		t.Errorf("%+v, want env_hash %s", ready, envHash)
	}
}

// The worker dies while it builds: no half environment is taken for a whole one,
// and the job that waits for it runs after the restart.
func TestKillWhileAnEnvironmentIsBuilt(t *testing.T) {
	t.Parallel()
	s := begin(t, "imports")
	lockfile, envHash := s.lock("iniconfig", "pyarrow")
	s.sentinel.PrepareEnv(s.worker.Identity, envHash, lockfile, "")
	job := s.job(1, "imports", nil)
	job.EnvHash = envHash
	s.sentinel.Submit(job)
	s.site.Eventually("the job and the build are in hand", func() error {
		if s.events("job-accepted", 1) == 0 || s.events("environment-requested", 0) == 0 {
			return os.ErrNotExist
		}
		return nil
	})
	s.worker.Kill()
	s.worker = s.site.Start()
	s.succeeded(s.sentinel.Receipt(1), 1)
}

// An environment of the field that lies under --venvs-dir is used as it is.
func TestForeignEnvironmentIsUsedAsItIs(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	envHash := strings.Repeat("fe", 32)
	place := filepath.Join(s.site.Venvs, envHash)
	program := "import sys, venv; venv.create(sys.argv[1])"
	harness.Python(t, nil, "-c", program, place)
	packages := string(harness.Python(t, nil, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
	matches, err := filepath.Glob(filepath.Join(place, "lib", "python*", "site-packages"))
	if err != nil || len(matches) != 1 {
		t.Fatalf("site-packages of %s: %v %v", place, matches, err)
	}
	if err := os.WriteFile(filepath.Join(matches[0], "real-parts.pth"), []byte(packages), 0o644); err != nil {
		t.Fatal(err)
	}
	job := s.job(1, "frames", wish{"rows": 10, "chunk": 10})
	job.EnvHash = envHash
	s.succeeded(s.run(job), 10)
	s.holds(job, "output", "out/frames_1.parquet")
}
