package venv

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestLocksThatNothingCanBeBuiltFrom(t *testing.T) {
	const head = "version = 1\nrequires-python = \">=3.9\"\n"
	const root = "[[package]]\nname = \"mill\"\nversion = \"1\"\nsource = { virtual = \".\" }\n"
	cases := []struct{ name, lock, says string }{
		{"empty", "", "no uv.lock"},
		{"not TOML", "PK\x03\x04", "TOML"},
		{"a pyproject.toml", "[project]\nname = \"mill\"\n", "no uv.lock"},
		{"a later version", "version = 2\n" + root, "version 2"},
		{"version of a wrong type", "version = \"1\"\n" + root, "TOML"},
		{"no package", head, "no root package"},
		{"a script's", head + "[manifest]\nrequirements = [{ name = \"six\" }]\n[[package]]\nname = \"six\"\nversion = \"1\"\nsource = { registry = \"x\" }\n", "no root package"},
		{"a workspace's", head + root + "[[package]]\nname = \"stone\"\nversion = \"1\"\nsource = { editable = \"stones/stone\" }\n", "stone (stones/stone)"},
		{"a wheel on the author's disk", head + root + "[[package]]\nname = \"stone\"\nversion = \"1\"\nsource = { path = \"dist/stone.whl\" }\n", "dist/stone.whl"},
		{"two roots", head + root + strings.Replace(root, "mill", "grinder", 1), "2 root packages"},
		{"a name that is none", head + strings.Replace(root, "mill", "../mill", 1), "package name"},
		{"a dependency that is none", head + root + "dependencies = [{ name = \"--index-url=x\" }]\n", "package name"},
		{"a Python that is a path", "version = 1\nrequires-python = \"/bin/sh\"\n" + root, "requires-python"},
		{"nested without end", "version = 1\nx = " + strings.Repeat("[", 1<<20), "TOML"},
		{"too large", head + root + strings.Repeat("#", MaxLockfile), "bytes"},
	}
	store := open(t, func(c *Config) { c.UV = "/nothing/to/run" })
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			failed := refused(t, store, specOf(c.lock), BadLockfile)
			var bad *LockfileError
			if !errors.As(failed, &bad) {
				t.Errorf("got %v", failed)
			}
			if len(failed.Error()) > 1000 {
				t.Errorf("the message has %d bytes", len(failed.Error()))
			}
			says(t, failed, c.says)
		})
	}
}

func TestRequirementsAreWrittenAsTheyWere(t *testing.T) {
	cases := []struct {
		name  string
		entry requirement
		want  string
		extra string
	}{
		{"plain", requirement{Name: "six"}, "six", ""},
		{"range", requirement{Name: "six", Specifier: ">=1,<2"}, "six>=1,<2", ""},
		{"extras", requirement{Name: "requests", Extras: []string{"socks", "security"}, Specifier: ">2"}, "requests[socks,security]>2", ""},
		{"marker", requirement{Name: "six", Marker: "sys_platform == 'linux'"}, "six ; sys_platform == 'linux'", ""},
		{"of an extra", requirement{Name: "six", Marker: "extra == 'fast'"}, "six ; extra == 'fast'", "fast"},
		{"of an extra on a platform", requirement{Name: "six", Marker: "sys_platform == 'linux' and extra == 'fast'"},
			"six ; sys_platform == 'linux' and extra == 'fast'", "fast"},
		{"URL", requirement{Name: "six", URL: "https://mill.example/six-1-py3-none-any.whl"}, "six @ https://mill.example/six-1-py3-none-any.whl", ""},
		{"repository", requirement{Name: "six", Git: "https://mill.example/six"}, "six @ git+https://mill.example/six", ""},
		{"repository at a tag", requirement{Name: "six", Git: "https://mill.example/six?subdirectory=a&tag=v1"}, "six @ git+https://mill.example/six@v1", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := c.entry.String(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := c.entry.extraOf(); got != c.extra {
				t.Errorf("extra %q, want %q", got, c.extra)
			}
		})
	}
}

// An override can take a dependency away from this machine; only the resolved
// list knows.
func TestOverriddenDependencyIsNotExpected(t *testing.T) {
	lock, err := parseLockfile(`
version = 1
requires-python = ">=3.9"
[[package]]
name = "mill"
source = { editable = "." }
dependencies = [{ name = "Grain_Sack" }, { name = "six", marker = "sys_platform == 'none'" }]
[package.metadata]
requires-dist = [{ name = "Grain_Sack" }, { name = "six" }]
`)
	if err != nil {
		t.Fatal(err)
	}
	direct, certain := directDependencies(lock)
	if !slices.Equal(direct, []string{"grain-sack", "six"}) || !slices.Equal(certain, []string{"grain-sack"}) {
		t.Errorf("direct %v, certain %v", direct, certain)
	}
	if lock.root.version != "0" {
		t.Errorf("version %q", lock.root.version)
	}
}

// Whatever comes as a lockfile is refused or gives a project that can be written.
func FuzzLockfile(f *testing.F) {
	f.Add("version = 1\n[[package]]\nname = \"a\"\nsource = { virtual = \".\" }\n[package.metadata]\n" +
		"requires-dist = [{ name = \"b\", marker = \"extra == 'x\" }]\nprovides-extras = [\"x\"]\n[package.metadata.requires-dev]\ndev = [{ name = \"c\" }]\n")
	f.Add("version = 1\n[[package]]\nname = \"a\"\nsource = { git = 3 }\n")
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, content string) {
		lock, err := parseLockfile(content)
		if err != nil {
			var bad *LockfileError
			if !errors.As(err, &bad) {
				t.Fatalf("got %T %v", err, err)
			}
			return
		}
		if err := projectOf(lock).write(folder, content); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(folder + "/pyproject.toml"); err != nil {
			t.Fatal(err)
		}
	})
}
