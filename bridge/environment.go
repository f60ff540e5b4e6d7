package bridge

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// unwanted variables of the worker do not reach a guest. Those of Python would
// mix other packages or another interpreter into the environment that was built
// for the plugin, those of systemd would let a plugin speak for the service, and
// the bridge's own belong to another guest when a worker runs inside of one.
var unwanted = map[string]bool{
	"PYTHONHOME": true, "PYTHONPATH": true, "PYTHONSTARTUP": true, "PYTHONINSPECT": true,
	"PYTHONUSERBASE": true, "PYTHONEXECUTABLE": true, "PYTHONPLATLIBDIR": true, "PYTHONSAFEPATH": true,
	"PYTHONOPTIMIZE": true, "PYTHONDEBUG": true, "PYTHONVERBOSE": true, "PYTHONPROFILEIMPORTTIME": true,
	"__PYVENV_LAUNCHER__": true, "VIRTUAL_ENV": true, "VIRTUAL_ENV_PROMPT": true,
	"NOTIFY_SOCKET": true, "LISTEN_FDS": true, "LISTEN_PID": true, "LISTEN_FDNAMES": true,
	"WATCHDOG_USEC": true, "WATCHDOG_PID": true,
	MarkerVariable: true, socketVariable: true, tokenVariable: true, codeVariable: true,
	pathVariable: true, jobVariable: true, versionVariable: true,
}

// The variables of version 1, and the token of version 2.
const (
	socketVariable  = "BRIDGE_SOCKET"
	codeVariable    = "BRIDGE_PLUGIN_CODE"
	pathVariable    = "BRIDGE_FILE_PATH"
	jobVariable     = "BRIDGE_JOB_ID"
	versionVariable = "BRIDGE_FILE_VERSION_ID"
	tokenVariable   = "BRIDGE_TOKEN"
)

// defaults are set unless the worker's own environment says otherwise.
var defaults = []string{
	// What a plugin printed before it was killed must have left it.
	"PYTHONUNBUFFERED=1",
	// A crash in native code leaves a Python traceback in the output.
	"PYTHONFAULTHANDLER=1",
	// Printing never raises, whatever the locale.
	"PYTHONIOENCODING=utf-8:backslashreplace",
	// Sets of strings iterate in the same order in every attempt, so that a plugin
	// that loops over one gives the same rows again.
	"PYTHONHASHSEED=0",
}

// inheritedEnvironment is the worker's environment without what is unwanted, then
// the defaults.
func inheritedEnvironment(inherited []string) []string {
	var env []string
	taken := make(map[string]bool)
	for _, variable := range inherited {
		name, _, _ := strings.Cut(variable, "=")
		if !unwanted[name] {
			env = append(env, variable)
			taken[name] = true
		}
	}
	for _, variable := range defaults {
		if name, _, _ := strings.Cut(variable, "="); !taken[name] {
			env = append(env, variable)
		}
	}
	return env
}

// guestEnvironment is what a guest that starts cold is given: what is inherited,
// then the caller's extra variables, then the bridge's own.
func guestEnvironment(inherited []string, spec Spec, address, marker, token string, legacy bool) []string {
	env := append(inheritedEnvironment(inherited), spec.Env...)
	env = append(env, MarkerVariable+"="+marker, socketVariable+"="+address, tokenVariable+"="+token)
	if legacy {
		env = append(env,
			sourceVariable(spec.Source),
			pathVariable+"="+spec.FilePath,
			jobVariable+"="+strconv.FormatUint(spec.JobID, 10),
			versionVariable+"="+strconv.FormatInt(spec.FileVersionID, 10))
	}
	return env
}

func sourceVariable(source []byte) string {
	return codeVariable + "=" + base64.StdEncoding.EncodeToString(source)
}

// checkSourceFits: version 1 has no other way for the source than one variable.
func checkSourceFits(source []byte) error {
	need := len(codeVariable) + 1 + base64.StdEncoding.EncodedLen(len(source))
	if need <= longestVariable {
		return nil
	}
	most := (longestVariable - len(codeVariable) - 1) / 4 * 3
	return &GuestError{
		Kind:   SourceTooLarge,
		Detail: fmt.Sprintf("%d bytes of source, at most %d fit", len(source), most),
		Hint:   "run it with the worker's own guest shim, which has no such limit",
	}
}
