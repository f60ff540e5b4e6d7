package venv

import "strings"

// signs are the words by which uv's messages are told apart, asked in this
// order: a full disk also makes a download fail, and a Python that uv had to
// download makes a wrong version look like a missing network. The words were
// observed with uv 0.13.
var signs = []struct {
	reason Reason
	words  []string
}{
	{DiskFull, []string{
		"no space left on device", "os error 28)", // Linux, macOS
		"disk quota exceeded", "os error 122)", "os error 69)",
		"not enough space on the disk", "os error 112)", // Windows
	}},
	{WrongPython, []string{
		"no interpreter found", "incompatible with the project's python requirement",
		"incompatible with the project python requirement", "no download found for request", "invalid version request",
	}},
	{Unresolvable, []string{"hash mismatch", "(404 not found)", "404 not found", "http status client error (410"}},
	{Offline, []string{
		"network connectivity is disabled", "dns error", "failed to lookup address", "client error (connect)",
		"connection refused", "network is unreachable", "network unreachable", "no route to host",
		"operation timed out", "connection reset", "error sending request", "request failed after",
		"failed to fetch", "could not connect", "temporary failure in name resolution",
	}},
	{Unresolvable, []string{
		"no solution found", "missing workspace member", "doesn't have a source distribution or wheel",
		"no wheels with a matching", "failed to parse `uv.lock`", "failed to build", "lockfile at `uv.lock` needs to be updated",
		"requirements are unsatisfiable", "not found in the package registry", "failed to parse: `pyproject.toml`",
	}},
}

// diagnose finds the class of a failure in what uv last printed. Progress lines
// come before the error, and a hint after it; neither uses these words.
func diagnose(tail []string) Reason {
	text := strings.ToLower(strings.Join(tail, "\n"))
	for _, sign := range signs {
		for _, word := range sign.words {
			if strings.Contains(text, word) {
				return sign.reason
			}
		}
	}
	return Failed
}
