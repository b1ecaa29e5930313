// Tessera on a POSIX file system: a batch is so many entries; done when all are integrated, or when a signed checkpoint covers them.
package main

import (
	"context"
	"crypto/rand"
	"flag"
	"path/filepath"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
	"k8s.io/klog/v2"

	"example.com/peers/feeding"
)

const (
	age      = 2 * time.Millisecond   // how long it waits for a group to fill; its default is 250 ms
	interval = 100 * time.Millisecond // the shortest between checkpoints that it takes
	poll     = 5 * time.Millisecond
)

func main() {
	plan := feeding.Given()
	klog.InitFlags(nil)
	flag.Set("logtostderr", "false")
	flag.Set("stderrthreshold", "FATAL")
	ctx := context.Background()
	private, _, err := note.GenerateKey(rand.Reader, "bench.example/log")
	if err != nil {
		feeding.Fail(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		feeding.Fail(err)
	}
	driver, err := posix.New(ctx, posix.Config{Path: filepath.Join(plan.Folder, "data")})
	if err != nil {
		feeding.Fail(err)
	}
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithBatching(uint(plan.Batch*plan.Writers), age).
		WithCheckpointInterval(interval)
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		feeding.Fail(err)
	}
	published := tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, poll)
	feeding.Run(plan, func(lines [][]byte) error {
		futures := make([]tessera.IndexFuture, len(lines))
		for at, line := range lines {
			futures[at] = appender.Add(ctx, tessera.NewEntry(line))
		}
		for _, future := range futures {
			if plan.Form == "published" {
				if _, _, err := published.Await(ctx, future); err != nil {
					return err
				}
			} else if _, err := future(); err != nil {
				return err
			}
		}
		return nil
	})
	if err := shutdown(ctx); err != nil {
		feeding.Fail(err)
	}
}
