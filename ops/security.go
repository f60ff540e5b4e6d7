package ops

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/casparian-flow/casparian-worker/protocol/link"
	"github.com/casparian-flow/casparian-worker/protocol/link/curve"
)

// maxCredential bounds a file with a key or a password, and a password itself.
const (
	maxCredentialFile = 4 << 10 // bytes
	maxPlain          = 255     // bytes, of ZMTP's PLAIN
)

// checkSecurity refuses options for security that do not go together, or cannot be
// read, or are missing where they are required.
func (c *Config) checkSecurity() error {
	if _, _, err := c.credentials(); err != nil {
		return err
	}
	if exposed := c.Exposed(); c.RequireCurve && exposed != "" {
		return &OptionError{"require-curve", "true", exposed}
	}
	return nil
}

// Exposed says what is wrong when the link leaves this machine without CURVE, "" when
// nothing is.
func (c *Config) Exposed() string {
	if c.CurveServerKey != "" {
		return ""
	}
	for _, address := range c.Connect {
		if !staysHere(address) {
			return "the link to " + address + " is neither encrypted nor sure of its Sentinel: jobs bring code that this worker runs; set --curve-server-key"
		}
	}
	return ""
}

// staysHere tells whether an address cannot leave this machine.
func staysHere(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	if u.Scheme == "ipc" || u.Hostname() == "localhost" {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return ip != nil && ip.IsLoopback()
}

// credentials gives what the link shows the Sentinel: CURVE, PLAIN or neither. Its
// errors are *OptionError and never hold a secret.
func (c *Config) credentials() (*link.CurveClient, *link.Plain, error) {
	secret, from, err := c.secret("curve-secret-key-file", c.CurveSecretFile, "CURVE_SECRET_KEY", c.CurveSecret)
	if err != nil {
		return nil, nil, err
	}
	password, passwordFrom, err := c.secret("plain-password-file", c.PlainFile, "PLAIN_PASSWORD", c.PlainPassword)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case c.CurveServerKey == "" && from != "":
		return nil, nil, &OptionError{from, c.CurveSecretFile, "is of no use without --curve-server-key, the Sentinel's public key"}
	case c.CurveServerKey != "" && c.PlainUsername+passwordFrom != "":
		return nil, nil, &OptionError{"plain-username", c.PlainUsername, "is set beside --curve-server-key: the link has one mechanism, and CURVE is the better one"}
	case c.CurveServerKey != "":
		client, err := c.curveClient(secret, from)
		return client, nil, err
	case c.PlainUsername == "" && passwordFrom != "":
		return nil, nil, &OptionError{"plain-username", "", "is missing beside the password"}
	case c.PlainUsername != "" && password == "":
		return nil, nil, &OptionError{"plain-password-file", c.PlainFile, "is missing or empty: " + c.PlainUsername + " needs a password"}
	case len(c.PlainUsername) > maxPlain || len(password) > maxPlain:
		return nil, nil, &OptionError{"plain-username", c.PlainUsername, fmt.Sprintf("or its password has more than %d bytes", maxPlain)}
	case c.PlainUsername != "":
		return nil, &link.Plain{Username: c.PlainUsername, Password: password}, nil
	}
	return nil, nil, nil
}

// curveClient reads the keys. Without a secret one is made.
func (c *Config) curveClient(secret, from string) (*link.CurveClient, error) {
	server, err := curve.ParseKey(strings.TrimSpace(c.CurveServerKey))
	if err != nil {
		problem := err.Error()
		if _, err := os.Stat(c.CurveServerKey); err == nil {
			problem = "is a file: give the key that is in it"
		}
		return nil, &OptionError{"curve-server-key", c.CurveServerKey, problem}
	}
	if from == "" {
		keys, err := curve.Generate()
		return &link.CurveClient{Server: server, Keys: keys}, err
	}
	key, err := curve.ParseKey(secret)
	if err != nil {
		return nil, &OptionError{from, c.CurveSecretFile, "what it holds " + err.Error()}
	}
	return &link.CurveClient{Server: server, Keys: curve.PairOf(key)}, nil
}

// secret reads a secret from its file or its variable, and says which of them it
// was, "" when it is not given.
func (c *Config) secret(flag, path, variable string, value Secret) (text, from string, err error) {
	variable = envPrefix + "_" + variable
	switch {
	case path != "" && value != "":
		return "", "", &OptionError{flag, path, "is set beside " + variable + ": give one of them"}
	case value != "":
		return string(value), variable, nil
	case path == "":
		return "", "", nil
	}
	file, err := os.Open(path)
	if err != nil {
		return "", "", &OptionError{flag, path, "cannot be read: " + plainPath(err)}
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxCredentialFile+1))
	if err != nil {
		return "", "", &OptionError{flag, path, "cannot be read: " + plainPath(err)}
	}
	if len(content) > maxCredentialFile {
		return "", "", &OptionError{flag, path, "is too large: one line is what it should hold"}
	}
	return strings.TrimSpace(string(content)), flag, nil
}

// plainPath is an error of the file system without the path, which is named already.
func plainPath(err error) string {
	var failed *os.PathError
	if errors.As(err, &failed) {
		return failed.Err.Error()
	}
	return err.Error()
}
