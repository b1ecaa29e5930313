// A log by Tessera that has its checkpoints witnessed: grows in <folder> by <count> entries, and prints the signed checkpoint.
//
//	grow <folder> <private key file> <policy> <count>
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	ctx := context.Background()
	key, err := os.ReadFile(os.Args[2])
	check(err)
	signer, err := note.NewSigner(strings.TrimSpace(string(key)))
	check(err)
	text, err := os.ReadFile(os.Args[3])
	check(err)
	witnesses, err := tessera.NewWitnessGroupFromPolicy(text)
	check(err)
	count, err := strconv.Atoi(os.Args[4])
	check(err)
	driver, err := posix.New(ctx, posix.Config{Path: os.Args[1]})
	check(err)
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithBatching(10, 10*time.Millisecond).
		WithCheckpointInterval(200*time.Millisecond).
		WithWitnesses(witnesses, &tessera.WitnessOptions{Timeout: 5 * time.Second})
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, options)
	check(err)
	published := tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, 20*time.Millisecond)
	var checkpoint []byte
	for n := range count {
		_, checkpoint, err = published.Await(ctx, appender.Add(ctx, tessera.NewEntry(fmt.Appendf(nil, "entry %d", n))))
		check(err)
	}
	check(shutdown(ctx))
	os.Stdout.Write(checkpoint)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
