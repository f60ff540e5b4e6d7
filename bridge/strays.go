package bridge

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Everything that the workers of one folder ever start carries a marker that begins
// alike, so that a worker finds what an earlier one left though no journal knows of
// it: a guest that was just starting, or a child of one that is gone.

// markerHead is how long the part is that all markers of a folder have in common.
const markerHead = 16

// sharedMarker reads that part from the folder, or makes it up.
func sharedMarker(dir string) (string, error) {
	path := filepath.Join(dir, "marker")
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("marker of guests: %w", err)
	}
	if head := strings.TrimSpace(string(text)); len(head) == markerHead {
		return head, nil
	}
	head := randomName()[:markerHead]
	if err := replaceFile(path, []byte(head+"\n")); err != nil {
		return "", fmt.Errorf("marker of guests: %w", err)
	}
	return head, nil
}

// newMarker gives the marker of a process tree.
func (h *Host) newMarker() string { return h.marker + randomName()[markerHead:] }

// findStrays notes the markers of what runs before this worker has started anything.
func (h *Host) findStrays() error {
	table, err := processTable()
	if err != nil {
		return err
	}
	h.strays = make(map[string]bool)
	for _, entry := range table {
		if marker := markerOf(entry.pid); !entry.ended && entry.pid != os.Getpid() && strings.HasPrefix(marker, h.marker) {
			h.strays[marker] = true
		}
	}
	return nil
}

// KillStrays kills what earlier workers of this folder left, except for the trees of
// spared. Nobody else may use the folder. It finds nothing where the platform does not
// show markers.
func (h *Host) KillStrays(spared []Process, grace time.Duration) error {
	// They may still be children of a warm interpreter that is just dying.
	pids, markers := make(map[int]bool), make(map[string]bool)
	for _, p := range spared {
		pids[p.PID], markers[p.Marker] = true, true
	}
	var failures []error
	for marker := range h.strays {
		if !markers[marker] {
			failures = append(failures, killTree(Process{Marker: marker}, grace, pids))
		}
	}
	return errors.Join(failures...)
}
