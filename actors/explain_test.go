package actors

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/casparian-flow/casparian-worker/bridge"
)

func TestAFailureIsExplained(t *testing.T) {
	raised := fmt.Errorf("run: %w", &bridge.PluginError{Type: "ValueError", Message: "no such column", Traceback: "Traceback …\n  line 3\n"})
	text := explain(raised, "  read 10 rows\nread 20 rows\n")
	for _, want := range []string{"no such column", "line 3", "--- last output of the plugin ---\nread 10 rows\nread 20 rows"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}

	t.Run("bounded, and UTF-8 wherever it was cut", func(t *testing.T) {
		text := explain(fmt.Errorf("%s", strings.Repeat("é", messageLimit)), strings.Repeat("€", outputLimit))
		if len(text) > messageLimit+outputLimit+200 {
			t.Errorf("%d bytes", len(text))
		}
		if !utf8.ValidString(text) {
			t.Error("not UTF-8")
		}
	})
}
