// Package feeding does for peers in Go what benchmarks/peers/feeding.py does for those in Python: so many writers, each sending its
// next batch once the last is as durable as the peer makes it.
package feeding

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"sync"
	"syscall"
	"time"
)

// Plan says what to write, and where: the lines of RecordsFile, or as many of them as Seconds allow.
type Plan struct {
	Form        string  `json:"form"`
	RecordsFile string  `json:"records_file"`
	Folder      string  `json:"folder"`
	Batch       int     `json:"batch"`
	Writers     int     `json:"writers"`
	Seconds     float64 `json:"seconds"`
}

// Given reads the plan from the command line.
func Given() Plan {
	var plan Plan
	if len(os.Args) != 2 {
		Fail(fmt.Errorf("usage: %s <plan as JSON>", os.Args[0]))
	}
	if err := json.Unmarshal([]byte(os.Args[1]), &plan); err != nil {
		Fail(err)
	}
	return plan
}

// ID is the record's member "id".
func ID(line []byte) []byte {
	var record struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(line, &record); err != nil {
		Fail(err)
	}
	return []byte(record.ID)
}

// Run feeds write and prints what it measured.
func Run(plan Plan, write func(lines [][]byte) error) {
	content, err := os.ReadFile(plan.RecordsFile)
	if err != nil {
		Fail(err)
	}
	lines := bytes.Split(bytes.TrimSuffix(content, []byte("\n")), []byte("\n"))
	var mutex sync.Mutex
	var took []float64
	given, written := 0, 0
	next := func() [][]byte {
		mutex.Lock()
		defer mutex.Unlock()
		low := given
		given = min(given+plan.Batch, len(lines))
		return lines[low:given]
	}
	used := cpu()
	began := time.Now()
	var group sync.WaitGroup
	for range plan.Writers {
		group.Go(func() {
			for time.Since(began).Seconds() < plan.Seconds {
				batch := next()
				if len(batch) == 0 {
					return
				}
				start := time.Now()
				if err := write(batch); err != nil {
					Fail(err)
				}
				ms := float64(time.Since(start)) / 1e6
				mutex.Lock()
				took = append(took, ms)
				written += len(batch)
				mutex.Unlock()
			}
		})
	}
	group.Wait()
	seconds := time.Since(began).Seconds()
	used = cpu() - used
	sort.Float64s(took)
	at := func(share float64) float64 { return took[min(int(float64(len(took))*share), len(took)-1)] }
	printed, err := json.Marshal(map[string]any{
		"records": written, "seconds": seconds, "cpu_us": used / float64(written) * 1e6,
		"p50_ms": at(0.5), "p99_ms": at(0.99), "p999_ms": at(0.999), "max_ms": took[len(took)-1],
	})
	if err != nil {
		Fail(err)
	}
	fmt.Println(string(printed))
}

// cpu is the seconds that this process has used on all cores.
func cpu() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		Fail(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// Fail ends the run.
func Fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
