// Tessera's check of a whole log by its tiles; its own command of v1.0.4 says what it found and exits with 0 all the same.
//
//	fsck <log's vkey> <URL of the log, also file://> [<bearer token>]
package main

import (
	"context"
	"fmt"
	"net/url"
	"os"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(vkey, address string, token []string) error {
	key, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	where, err := url.Parse(address)
	if err != nil {
		return err
	}
	var source fsck.Fetcher = &client.FileFetcher{Root: where.Path}
	if where.Scheme != "file" {
		fetcher, err := client.NewHTTPFetcher(where, nil)
		if err != nil {
			return err
		}
		for _, each := range token {
			fetcher.SetAuthorizationHeader("Bearer " + each)
		}
		source = fetcher
	}
	return fsck.New(key.Name(), key, source, leafHashes, fsck.Opts{N: 2}).Check(context.Background())
}

func leafHashes(bundle []byte) ([][]byte, error) {
	var entries api.EntryBundle
	if err := entries.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	var hashes [][]byte
	for _, entry := range entries.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return hashes, nil
}
