package parts

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The test run's own requirement: with CI=true nothing below may skip.
func TestPartsAreReal(t *testing.T) {
	program := "import zmq, pyarrow, pandas, numpy, duckdb, polars, pydantic; print(zmq.zmq_version())"
	output, err := exec.Command(Python(t), "-c", program).Output()
	if err != nil || !strings.HasPrefix(string(output), "4.") {
		t.Errorf("the interpreter says %q (%v), want libzmq's version", output, err)
	}
	output, err = exec.Command(UV(t), "--version").Output()
	if err != nil || !strings.HasPrefix(string(output), "uv ") {
		t.Errorf("uv says %q (%v)", output, err)
	}
}

// A wrong path in the variable is an error: no other part takes its place.
func TestVariableThatNamesNothing(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "python")
	t.Setenv(PythonVariable, missing)
	_, err := locate(PythonVariable, "python")
	if err == nil || !strings.Contains(err.Error(), missing) || !strings.Contains(err.Error(), PythonVariable) {
		t.Errorf("error %v, want one that names the variable and %s", err, missing)
	}
}

func TestMissingPartSaysWhatToRun(t *testing.T) {
	_, err := locate("CASPARIAN_TEST_NOTHING", "no-such-part")
	if err == nil || !strings.Contains(err.Error(), "make tools") {
		t.Errorf("error %v, want one that says how to get the part", err)
	}
}

// A held port is refused to who dials it, and open to who listens on it, twice.
func TestHeldPort(t *testing.T) {
	address := HeldPort(t)
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Fatalf("somebody listens on %s", address)
	}
	for range 2 {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		listener.Close()
	}
}
