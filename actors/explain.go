package actors

import (
	"errors"
	"strings"

	"github.com/casparian-flow/casparian-worker/bridge"
)

// Limits of a receipt's error text, in bytes. A Sentinel keeps it in a row of a
// database and shows it to a person.
const (
	messageLimit   = 16 << 10
	tracebackLimit = 32 << 10
	outputLimit    = 64 << 10
)

// explain is the error message of a FAILED receipt: what went wrong, the plugin's
// traceback if it raised, and the last that it printed.
func explain(err error, output string) string {
	var text strings.Builder
	text.WriteString(head(err.Error(), messageLimit))
	var raised *bridge.PluginError
	if errors.As(err, &raised) && raised.Traceback != "" {
		text.WriteString("\n\n" + tail(strings.TrimRight(raised.Traceback, "\n"), tracebackLimit))
	}
	if output = strings.TrimSpace(output); output != "" {
		text.WriteString("\n\n--- last output of the plugin ---\n" + tail(output, outputLimit))
	}
	return strings.ToValidUTF8(text.String(), "\uFFFD")
}

func head(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return s[:limit] + " […]"
}

func tail(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return "[…] " + s[len(s)-limit:]
}
