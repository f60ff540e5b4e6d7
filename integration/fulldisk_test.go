//go:build linux

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/harness"
	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// Bar: the disk is full at any write: the worker lives, says what is needed, and ends
// the job by itself once there is room, with nothing lost.

// TestADiskThatFillsUp puts a site on a small disk that has so much room left when
// the job comes: the first writes fail or later ones, in the journal, in the guest's
// folder, or in the output.
func TestADiskThatFillsUp(t *testing.T) {
	for _, room := range roomsLeft() {
		t.Run(fmt.Sprintf("%d KiB left", room>>10), func(t *testing.T) {
			disk := smallDisk(t, 24<<20)
			s := beginWith(t, false, harness.Options{Plugins: []string{"frames"}, Folder: disk,
				Arguments: []string{"--row-group-rows", "1000", "--compression", "none"}})
			job := s.job(1, "frames", wish{"rows": 10_000, "chunk": 1_000})
			ballast := filepath.Join(disk, "ballast")
			fill(t, ballast, room)
			mark := s.sentinel.Mark()
			s.sentinel.Submit(job)
			s.site.Eventually("the worker says that there is no room, or needs no more", func() error {
				out, problems, code := s.site.Command("status", "--json", "--state-dir", s.site.State)
				var status struct {
					Paused, Held string
					Concluded    int
				}
				if code != 0 || json.Unmarshal([]byte(out), &status) != nil {
					return fmt.Errorf("status: %s%s", out, problems)
				}
				if status.Paused == "" && status.Held == "" && status.Concluded == 0 {
					return fmt.Errorf("it says nothing: %s", out)
				}
				return nil
			})
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			s.succeeded(s.sentinel.ReceiptAfter(job.ID, mark), 10_000)
			s.files("out/frames_1.parquet")
			s.holds(job, "output", "out/frames_1.parquet")
			s.site.CheckNoStaging()
			s.site.AwaitNoGuests(s.worker)
			s.verified()
		})
	}
}

// smallDisk mounts a file system of so many bytes for the test.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	// Not t.TempDir: the path of a socket ends at about 100 bytes.
	folder, err := os.MkdirTemp("", "disk-")
	if err != nil {
		t.Fatal(err)
	}
	err = syscall.Mount("casparian-test", folder, "tmpfs", 0, fmt.Sprintf("size=%d", size))
	if errors.Is(err, syscall.EPERM) {
		os.Remove(folder)
		parts.Missing(t, "NOT TESTED HERE: mounting a small tmpfs needs root")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", folder, err)
		}
		if err := os.Remove(folder); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// fill writes a file that takes all of a disk, and then so many bytes less: somebody
// else may write meanwhile.
func fill(t *testing.T, ballast string, room int64) {
	t.Helper()
	file, err := os.OpenFile(ballast, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	size := int64(0)
	for page := make([]byte, 4<<10); ; {
		n, err := file.Write(page)
		size += int64(n)
		if errors.Is(err, syscall.ENOSPC) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Truncate(size - room); err != nil {
		t.Fatal(err)
	}
}

// TestTheStateOnAnotherDevice: nothing is ever moved between the two folders, so the
// output may lie on another disk than the state.
func TestTheStateOnAnotherDevice(t *testing.T) {
	disk := smallDisk(t, 24<<20)
	sentinel := harness.StartSentinel(t, false)
	site := harness.NewSite(t, sentinel, harness.Options{Plugins: []string{"frames"}})
	site.State = filepath.Join(disk, "state")
	s := &story{T: t, sentinel: sentinel, site: site, worker: site.Start()}
	job := s.job(1, "frames", wish{"rows": 1_000, "chunk": 100})
	s.succeeded(s.run(job), 1_000)
	s.files("out/frames_1.parquet")
	s.holds(job, "output", "out/frames_1.parquet")
	s.verified()
}
