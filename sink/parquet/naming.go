package parquet

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/casparian-flow/casparian-worker/sink"
)

// Scheme is the URI scheme that this driver serves.
const Scheme = "parquet"

// maxName is the longest name of one file that common file systems take (bytes).
const maxName = 255

const (
	defaultName   = "data"
	defaultSuffix = ".parquet"
)

// location is where one target's files are. All paths are relative to the
// output root and in the operating system's form.
type location struct {
	folder   string // "." for the root itself
	final    string // the published file
	staging  string // the hidden file, in the same folder
	encoding encoding
}

// locate works out a target's files from its URI alone. It touches no disk.
//
// The path of the URI is taken below the output root, whatever slashes it
// begins with. Its last segment is a file when it has a suffix, else a folder:
//
//	parquet://a/b.parquet   mode append   a/b_<job>.parquet
//	parquet://a/b.parquet   mode replace  a/b.parquet
//	parquet://a/b           mode append   a/b/data_<job>.parquet
//	parquet://a/b/          mode replace  a/b/data.parquet
func (d *Driver) locate(target sink.Target) (location, error) {
	uri, err := sink.ParseURI(target.URI)
	if err != nil {
		return location{}, err
	}
	if uri.Scheme != Scheme {
		return location{}, &sink.UnknownSchemeError{URI: target.URI, Scheme: uri.Scheme, Known: []string{Scheme}}
	}
	encoding, err := parseOptions(uri, d.config)
	if err != nil {
		return location{}, err
	}
	replace := false
	switch target.Mode {
	case sink.Append, sink.Error, "":
	case sink.Replace:
		replace = true
	default:
		return location{}, &sink.OptionError{Option: "mode", Value: string(target.Mode), Reason: "not a possible value",
			Known: []string{string(sink.Append), string(sink.Error), string(sink.Replace)}}
	}

	clean, err := belowRoot(target.URI, uri.Path)
	if err != nil {
		return location{}, err
	}
	folder, name := path.Split(clean)
	stem, suffix := splitSuffix(name)
	if suffix == "" || strings.HasSuffix(uri.Path, "/") {
		folder, stem, suffix = clean, defaultName, defaultSuffix
	}
	if !replace {
		stem += "_" + strconv.FormatUint(target.JobID, 10)
	}
	final := path.Join(folder, stem+suffix)
	loc := location{encoding: encoding}
	if loc.final, err = filepath.Localize(final); err != nil {
		return location{}, &sink.PathError{Path: target.URI, Reason: "this operating system allows no such name", Err: err}
	}
	for _, segment := range strings.Split(final, "/") {
		if len(segment) > maxName {
			return location{}, &sink.PathError{Path: target.URI,
				Reason: fmt.Sprintf("a name of %d bytes is too long (at most %d, the job id included)", len(segment), maxName)}
		}
	}
	loc.folder = filepath.Dir(loc.final)
	loc.staging = filepath.Join(loc.folder, stagingName(target))
	return loc, nil
}

// belowRoot gives the slash-separated path below the root, without empty or "."
// segments. A ".." is refused even where it would stay below the root: nobody
// writes one with good intent, and a symlink would change what it means.
func belowRoot(shown, uriPath string) (string, error) {
	if strings.ContainsRune(uriPath, 0) {
		return "", &sink.PathError{Path: shown, Reason: "it holds a NUL"}
	}
	var segments []string
	for _, segment := range strings.Split(uriPath, "/") {
		switch segment {
		case "", ".":
		case "..":
			return "", &sink.PathError{Path: shown, Reason: `it holds a ".."`}
		default:
			segments = append(segments, segment)
		}
	}
	if len(segments) == 0 {
		return "", &sink.PathError{Path: shown, Reason: "it names no file and no folder"}
	}
	return strings.Join(segments, "/"), nil
}

// splitSuffix is Python's PurePath.stem and .suffix: the suffix begins at the
// last dot, unless that is the first or the last letter of the name.
func splitSuffix(name string) (stem, suffix string) {
	dot := strings.LastIndexByte(name, '.')
	if dot <= 0 || dot == len(name)-1 || strings.Trim(name[:dot], ".") == "" {
		return name, ""
	}
	return name[:dot], name[dot:]
}

// stagingName is hidden, short, and unique to the target's job, generation,
// attempt and output:
//
//	.casparian-<job>-<generation>-<attempt>-<sha256 of topic, URI and mode, 16 digits>.part
func stagingName(target sink.Target) string {
	return fmt.Sprintf(".casparian-%d-%d-%d-%s.part", target.JobID, target.Generation, target.Attempt, outputDigest(target))
}

func outputDigest(target sink.Target) string {
	mode := cmp.Or(target.Mode, sink.Append)
	sum := sha256.Sum256([]byte(target.Topic + "\x00" + target.URI + "\x00" + string(mode)))
	return hex.EncodeToString(sum[:8])
}

var stagingPattern = regexp.MustCompile(`^\.casparian-(\d+)-(\d+)-(\d+)-([0-9a-f]{16})\.part$`)

// staged tells whether name is a staging file of the target: any attempt of its
// generation or of an earlier one.
func staged(name string, target sink.Target) bool {
	match := stagingPattern.FindStringSubmatch(name)
	if match == nil || match[1] != strconv.FormatUint(target.JobID, 10) || match[4] != outputDigest(target) {
		return false
	}
	generation, err := strconv.ParseUint(match[2], 10, 32)
	return err == nil && uint32(generation) <= target.Generation
}

// artifactURI is parquet:// and the file's absolute path, percent-encoded.
func (d *Driver) artifactURI(final string) string {
	slashed := filepath.ToSlash(filepath.Join(d.config.Root, final))
	if volume := filepath.ToSlash(filepath.VolumeName(d.config.Root)); volume != "" {
		// C:/out becomes /C:/out, with the colon as it is (RFC 8089, appendix E).
		return Scheme + ":///" + volume + sink.Quote(strings.TrimPrefix(slashed, volume))
	}
	return Scheme + "://" + sink.Quote(slashed)
}

// publishedPath is the inverse of artifactURI: the path relative to the root. It
// refuses a URI that does not lead to a file below the root.
func (d *Driver) publishedPath(artifact string) (string, error) {
	uri, err := sink.ParseURI(artifact)
	if err != nil {
		return "", err
	}
	if uri.Scheme != Scheme {
		return "", &sink.UnknownSchemeError{URI: artifact, Scheme: uri.Scheme, Known: []string{Scheme}}
	}
	absolute := uri.Path
	if runtime.GOOS == "windows" {
		absolute = strings.TrimPrefix(absolute, "/")
	}
	root := strings.TrimSuffix(filepath.ToSlash(d.config.Root), "/") + "/"
	below, inside := strings.CutPrefix(absolute, root)
	if !inside {
		return "", &sink.PathError{Path: artifact, Reason: "it is not below the output root " + d.config.Root}
	}
	clean, err := belowRoot(artifact, below)
	if err != nil {
		return "", err
	}
	local, err := filepath.Localize(clean)
	if err != nil {
		return "", &sink.PathError{Path: artifact, Reason: "this operating system allows no such name", Err: err}
	}
	return local, nil
}
