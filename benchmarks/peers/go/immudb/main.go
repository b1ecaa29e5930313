// immudb's embedded store: each batch a transaction, its key the record's id, synced before it returns.
package main

import (
	"context"
	"io"
	"path/filepath"
	"time"

	"github.com/codenotary/immudb/embedded/logger"
	"github.com/codenotary/immudb/embedded/store"

	"example.com/peers/feeding"
)

// Its default is to sync every 20 ms; a shorter wait is what a caller who waits for each answer would choose.
const promptly = time.Millisecond

func main() {
	plan := feeding.Given()
	options := store.DefaultOptions().WithSynced(true).WithMaxConcurrency(2 * max(plan.Writers, store.DefaultMaxConcurrency)).
		WithLogger(logger.NewSimpleLoggerWithLevel("immudb", io.Discard, logger.LogError))
	if plan.Form == "prompt" {
		options = options.WithSyncFrequency(promptly)
	}
	opened, err := store.Open(filepath.Join(plan.Folder, "data"), options)
	if err != nil {
		feeding.Fail(err)
	}
	defer opened.Close()
	ctx := context.Background()
	feeding.Run(plan, func(lines [][]byte) error {
		tx, err := opened.NewWriteOnlyTx(ctx)
		if err != nil {
			return err
		}
		for _, line := range lines {
			if err := tx.Set(feeding.ID(line), nil, line); err != nil {
				return err
			}
		}
		_, err = tx.AsyncCommit(ctx) // durable when it returns; it does not wait for the index
		return err
	})
}
