package venv

import (
	"archive/zip"
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sort"
	"strings"
	"sync"
	"testing"
)

// index is a package index of the test's own, with packages that no real index
// has: ones that cannot be imported, or that vanish.
type index struct {
	*httptest.Server
	mu     sync.Mutex
	wheels map[string][]byte // file name → content
}

// newIndex starts an index, and makes it the one that uv asks.
func newIndex(t *testing.T) *index {
	t.Helper()
	ix := &index{wheels: map[string][]byte{}}
	ix.Server = httptest.NewServer(ix)
	t.Cleanup(ix.Close)
	t.Setenv("UV_DEFAULT_INDEX", ix.URL+"/simple")
	t.Setenv("UV_CACHE_DIR", t.TempDir())
	return ix
}

// add publishes a wheel, made of the given files, whose tag is like
// "py3-none-any".
func (ix *index) add(t *testing.T, name, version, tag string, files map[string]string) {
	t.Helper()
	info := fmt.Sprintf("%s-%s.dist-info/", name, version)
	all := map[string]string{
		info + "METADATA": fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version),
		info + "WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: " + tag + "\n",
	}
	for path, content := range files {
		all[path] = content
	}
	var record strings.Builder
	for path := range all {
		record.WriteString(path + ",,\n")
	}
	all[info+"RECORD"] = record.String() + info + "RECORD,,\n"

	var wheel bytes.Buffer
	archive := zip.NewWriter(&wheel)
	for path, content := range all {
		entry, err := archive.Create(path)
		if err == nil {
			_, err = entry.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	ix.mu.Lock()
	defer ix.mu.Unlock()
	ix.wheels[fmt.Sprintf("%s-%s-%s.whl", name, version, tag)] = wheel.Bytes()
}

// vanish takes a package's files away; its page stays.
func (ix *index) vanish() {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	for name := range ix.wheels {
		ix.wheels[name] = nil
	}
}

func (ix *index) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if file, ok := strings.CutPrefix(r.URL.Path, "/files/"); ok && ix.wheels[file] != nil {
		_, _ = w.Write(ix.wheels[file])
		return
	}
	if page, ok := strings.CutPrefix(r.URL.Path, "/simple/"); ok {
		var links []string
		for file := range ix.wheels {
			if strings.HasPrefix(file, strings.ReplaceAll(strings.Trim(page, "/"), "-", "_")+"-") {
				links = append(links, fmt.Sprintf("<a href=\"%s/files/%s\">%s</a>\n", ix.URL, file, file))
			}
		}
		if len(links) > 0 {
			sort.Strings(links)
			w.Header().Set("Content-Type", "text/html")
			_, _ = fmt.Fprintf(w, "<!DOCTYPE html><html><body>%s</body></html>", strings.Join(links, ""))
			return
		}
	}
	http.NotFound(w, r)
}
