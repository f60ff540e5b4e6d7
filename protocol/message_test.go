package protocol_test

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/protocol"
)

func encode(t testing.TB, jobID uint64, payload protocol.Payload) [][]byte {
	t.Helper()
	frames, err := protocol.Encode(protocol.Message{JobID: jobID, Payload: payload})
	if err != nil {
		t.Fatalf("encode %#v: %v", payload, err)
	}
	return frames
}

// frames puts a payload that somebody else wrote behind a header that fits.
func frames(t testing.TB, op protocol.OpCode, jobID uint64, payload string) [][]byte {
	t.Helper()
	header, err := protocol.Header{Op: op, JobID: jobID, Length: uint32(len(payload))}.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{header, []byte(payload)}
}

func TestJobFromDispatchToReceipt(t *testing.T) {
	received, err := protocol.Decode(frames(t, protocol.OpDispatch, 41, `{"plugin_name":"sales","file_path":"/in/a.csv",`+
		`"sinks":[{"topic":"output","uri":"parquet://a.parquet","mode":"append","schema_def":null}],`+
		`"file_version_id":9,"env_hash":"system","source_code":"class Handler: ...","artifact_hash":null}`))
	if err != nil {
		t.Fatal(err)
	}
	want := protocol.Message{JobID: 41, Payload: protocol.Dispatch{
		PluginName: "sales", FilePath: "/in/a.csv", FileVersionID: 9, EnvHash: "system", SourceCode: "class Handler: ...",
		Sinks: []protocol.Sink{{Topic: "output", URI: "parquet://a.parquet", Mode: "append"}},
	}}
	if !reflect.DeepEqual(received, want) {
		t.Fatalf("read %#v\nwant %#v", received, want)
	}

	sent := encode(t, received.JobID, protocol.Conclude{
		Status:    protocol.Success,
		Metrics:   map[string]int64{"rows": 3},
		Artifacts: []map[string]string{{"topic": "output", "uri": "parquet:///out/a_41.parquet"}},
	})
	if got, want := string(sent[1]), `{"status":"SUCCESS","metrics":{"rows":3},"artifacts":[{"topic":"output","uri":"parquet:///out/a_41.parquet"}],"error_message":null}`; got != want {
		t.Fatalf("receipt %s\nwant    %s", got, want)
	}
}

func TestDispatchThatCannotBeReadCanStillBeAnswered(t *testing.T) {
	message, err := protocol.Decode(frames(t, protocol.OpDispatch, 41, `{"plugin_name":"sales"}`))
	var content *protocol.JSONError
	if !errors.As(err, &content) {
		t.Fatalf("no JSONError but %v", err)
	}
	if message.JobID != 41 || message.Payload != nil || content.Header.Op != protocol.OpDispatch {
		t.Fatalf("job %d, payload %v, opcode %s", message.JobID, message.Payload, content.Header.Op)
	}
	encode(t, message.JobID, protocol.Conclude{Status: protocol.Failed, ErrorMessage: err.Error()})
}

func TestReceiptCarriesWhateverAProcessPrinted(t *testing.T) {
	tail := "caf\xe9 \xff\xfe\x00 ☃ <&> end of a cut rune \xf0\x9f"
	message, err := protocol.Decode(encode(t, 7, protocol.Conclude{Status: protocol.Failed, ErrorMessage: tail}))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := message.Payload.(protocol.Conclude).ErrorMessage, "caf\uFFFD \uFFFD\x00 ☃ <&> end of a cut rune \uFFFD"; got != want {
		t.Fatalf("arrived as %q, want %q", got, want)
	}
	message, err = protocol.Decode(encode(t, 7, protocol.Error{Message: "\xff", Traceback: "\xff"}))
	if err != nil || message.Payload != (protocol.Error{Message: "\uFFFD", Traceback: "\uFFFD"}) {
		t.Fatalf("arrived as %#v, %v", message.Payload, err)
	}
}

func TestEncodeRefusesWhatWouldArriveAsSomethingElse(t *testing.T) {
	const bad = "a\xff"
	sink := protocol.Sink{Topic: "t", URI: "u"}
	dispatch := func(change func(*protocol.Dispatch)) protocol.Payload {
		p := protocol.Dispatch{PluginName: "p", FilePath: "f", EnvHash: "system", Sinks: []protocol.Sink{sink}}
		change(&p)
		return p
	}
	deploy := func(change func(*protocol.Deploy)) protocol.Payload {
		p := protocol.Deploy{PluginName: "p", EnvHash: "h"}
		change(&p)
		return p
	}
	conclude := func(change func(*protocol.Conclude)) protocol.Payload {
		p := protocol.Conclude{Status: protocol.Success, Artifacts: []map[string]string{{"topic": "t", "uri": "u"}}}
		change(&p)
		return p
	}
	for name, c := range map[string]struct {
		payload protocol.Payload
		field   string
	}{
		"no payload":                     {nil, ""},
		"a pointer":                      {&protocol.Abort{}, ""},
		"a nil pointer":                  {(*protocol.Dispatch)(nil), ""},
		"capability":                     {protocol.Identify{Capabilities: []string{"a", bad}}, "capabilities[1]"},
		"worker id":                      {protocol.Identify{WorkerID: bad}, "worker_id"},
		"plugin":                         {dispatch(func(p *protocol.Dispatch) { p.PluginName = bad }), "plugin_name"},
		"path":                           {dispatch(func(p *protocol.Dispatch) { p.FilePath = bad }), "file_path"},
		"environment":                    {dispatch(func(p *protocol.Dispatch) { p.EnvHash = bad }), "env_hash"},
		"source":                         {dispatch(func(p *protocol.Dispatch) { p.SourceCode = bad }), "source_code"},
		"artifact hash":                  {dispatch(func(p *protocol.Dispatch) { p.ArtifactHash = bad }), "artifact_hash"},
		"sink's topic":                   {dispatch(func(p *protocol.Dispatch) { p.Sinks[0].Topic = bad }), "sinks[0].topic"},
		"sink's uri":                     {dispatch(func(p *protocol.Dispatch) { p.Sinks[0].URI = bad }), "sinks[0].uri"},
		"sink's mode":                    {dispatch(func(p *protocol.Dispatch) { p.Sinks[0].Mode = bad }), "sinks[0].mode"},
		"schema that is not JSON":        {dispatch(func(p *protocol.Dispatch) { p.Sinks[0].SchemaDef = json.RawMessage(`{`) }), "sinks[0].schema_def"},
		"schema of no bytes":             {dispatch(func(p *protocol.Dispatch) { p.Sinks[0].SchemaDef = json.RawMessage{} }), "sinks[0].schema_def"},
		"schema that is not UTF-8":       {dispatch(func(p *protocol.Dispatch) { p.Sinks[0].SchemaDef = json.RawMessage("\"\xff\"") }), "sinks[0].schema_def"},
		"schema of two values":           {dispatch(func(p *protocol.Dispatch) { p.Sinks[0].SchemaDef = json.RawMessage(`1,"mode":2`) }), "sinks[0].schema_def"},
		"schema nested too deep":         {dispatch(func(p *protocol.Dispatch) { p.Sinks[0].SchemaDef = nested(254) }), "sinks[0].schema_def"},
		"requirements nested too deep":   {deploy(func(p *protocol.Deploy) { p.SystemRequirements = nested(256) }), "system_requirements"},
		"requirements with half a pair":  {deploy(func(p *protocol.Deploy) { p.SystemRequirements = json.RawMessage(`"\ud800"`) }), "system_requirements"},
		"deployed version":               {deploy(func(p *protocol.Deploy) { p.Version = bad }), "version"},
		"metric's name":                  {conclude(func(p *protocol.Conclude) { p.Metrics = map[string]int64{bad: 1} }), "metrics"},
		"artifact's field name":          {conclude(func(p *protocol.Conclude) { p.Artifacts[0][bad] = "x" }), "artifacts[0]"},
		"artifact's field":               {conclude(func(p *protocol.Conclude) { p.Artifacts[0]["note"] = bad }), `artifacts[0]["note"]`},
		"lockfile":                       {protocol.PrepareEnv{EnvHash: "h", LockfileContent: bad}, "lockfile_content"},
		"Python version":                 {protocol.PrepareEnv{EnvHash: "h", PythonVersion: bad}, "python_version"},
		"interpreter":                    {protocol.EnvReady{EnvHash: "h", InterpreterPath: bad}, "interpreter_path"},
		"status that ends no job":        {protocol.Conclude{Status: "REJECTED"}, "status"},
		"heartbeat of an unknown status": {protocol.Heartbeat{Status: "AWAY"}, "status"},
	} {
		t.Run(name, func(t *testing.T) {
			frames, err := protocol.Encode(protocol.Message{JobID: 7, Payload: c.payload})
			var content *protocol.JSONError
			if !errors.As(err, &content) || frames != nil {
				t.Fatalf("wrote %q, %v", frames, err)
			}
			if content.Field != c.field || content.Header.JobID != 7 {
				t.Fatalf("field %q of job %d, want %q of job 7: %v", content.Field, content.Header.JobID, c.field, err)
			}
		})
	}
}

func nested(depth int) json.RawMessage {
	return json.RawMessage(strings.Repeat("[", depth) + strings.Repeat("]", depth))
}

func TestOpaqueJSONIsReadAsDeepAsItIsSent(t *testing.T) {
	for name, payload := range map[string]protocol.Payload{
		"schema":       protocol.Dispatch{PluginName: "p", FilePath: "f", EnvHash: "h", Sinks: []protocol.Sink{{Topic: "t", URI: "u", SchemaDef: nested(253)}}},
		"requirements": protocol.Deploy{PluginName: "p", EnvHash: "h", SystemRequirements: nested(255)},
	} {
		if message, err := protocol.Decode(encode(t, 0, payload)); err != nil || !reflect.DeepEqual(message.Payload, payload) {
			t.Errorf("%s: read %v, %v", name, message.Payload, err)
		}
	}
}

func TestFramesOfEveryShape(t *testing.T) {
	if got := encode(t, 0, protocol.Reload{}); len(got) != 1 {
		t.Errorf("RELOAD has %d frames, it is the header alone", len(got))
	}
	if got := encode(t, 7, protocol.Abort{}); len(got) != 2 || got[1] == nil || len(got[1]) != 0 {
		t.Errorf("ABORT is %q, it has an empty payload frame", got)
	}
	highest := uint64(math.MaxUint64)
	if got := encode(t, 7, protocol.Heartbeat{Status: protocol.Busy, CurrentJobID: &highest}); string(got[1]) != `{"status":"BUSY","current_job_id":18446744073709551615}` {
		t.Errorf("HEARTBEAT is %s", got[1])
	}
}

func TestWhoAsksForAHeartbeat(t *testing.T) {
	job := uint64(0)
	for name, c := range map[string]struct {
		heartbeat protocol.Heartbeat
		asks      bool
	}{
		"nothing said":   {protocol.Heartbeat{}, true},
		"an idle worker": {protocol.Heartbeat{Status: protocol.Idle}, false},
		"a busy worker":  {protocol.Heartbeat{Status: protocol.Busy, CurrentJobID: &job}, false},
		"only a job":     {protocol.Heartbeat{CurrentJobID: &job}, false},
	} {
		if c.heartbeat.Asks() != c.asks {
			t.Errorf("%s: Asks() = %t", name, c.heartbeat.Asks())
		}
	}
}

func TestMessageSharesNoMemoryWithItsFrames(t *testing.T) {
	received := frames(t, protocol.OpDispatch, 7, `{"plugin_name":"sales","file_path":"f","sinks":[{"topic":"t","uri":"u","mode":"","schema_def":{"a":1}}],"file_version_id":1,"env_hash":"h","source_code":""}`)
	message, err := protocol.Decode(received)
	if err != nil {
		t.Fatal(err)
	}
	for i := range received[1] {
		received[1][i] = 'x'
	}
	dispatch := message.Payload.(protocol.Dispatch)
	if dispatch.PluginName != "sales" || string(dispatch.Sinks[0].SchemaDef) != `{"a":1}` {
		t.Fatalf("changed with the frames: %#v", dispatch)
	}
}

func TestErrorsQuoteLittle(t *testing.T) {
	long := strings.Repeat("☃", 100_000)
	for name, payload := range map[string]string{
		"a status":  `{"status":"` + long + `","metrics":{},"artifacts":[]}`,
		"a metric":  `{"status":"SUCCESS","metrics":{"` + long + `":0.5},"artifacts":[]}`,
		"a number":  `{"status":"SUCCESS","metrics":{"rows":` + strings.Repeat("9", 100_000) + `},"artifacts":[]}`,
		"an object": `{"status":"SUCCESS","metrics":{},"artifacts":[{"` + long + `":1}]}`,
	} {
		_, err := protocol.Decode(frames(t, protocol.OpConclude, 7, payload))
		if !errors.Is(err, protocol.ErrJSON) || len(err.Error()) > 400 {
			t.Errorf("%s: a message of %d bytes: %.500v", name, len(err.Error()), err)
		}
	}
}
