// Judges by code that is not ours: exit status 0 where it holds, 1 where it does not.
//
//	verify proof <log's vkey> <entry> <tlog-proof>    transparency-dev's tlog-proof, Merkle proofs and notes
//	verify note <note> <vkey>...                      every key has signed: x/mod's sumdb/note, transparency-dev's cosignatures
package main

import (
	"fmt"
	"os"

	formats "github.com/transparency-dev/formats/log"
	cosigned "github.com/transparency-dev/formats/note"
	tlogproof "github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(what string, args []string) error {
	switch what {
	case "proof":
		return proved(args[0], args[1], args[2])
	case "note":
		text, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		_, err = signed(text, args[1:])
		return err
	}
	return fmt.Errorf("nothing to do: %s", what)
}

func proved(vkey, entryFile, proofFile string) error {
	entry, err := os.ReadFile(entryFile)
	if err != nil {
		return err
	}
	given, err := os.ReadFile(proofFile)
	if err != nil {
		return err
	}
	var parsed tlogproof.TLogProof
	if err := parsed.Unmarshal(given); err != nil {
		return err
	}
	checkpoint, err := signed(parsed.Checkpoint, []string{vkey})
	if err != nil {
		return err
	}
	hashes := make([][]byte, len(parsed.Hashes))
	for at, hash := range parsed.Hashes {
		hashes[at] = hash[:]
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(entry)
	return proof.VerifyInclusion(rfc6962.DefaultHasher, parsed.Index, checkpoint.Size, leaf, hashes, checkpoint.Hash)
}

func signed(text []byte, vkeys []string) (*formats.Checkpoint, error) {
	var keys []note.Verifier
	for _, vkey := range vkeys {
		key, err := note.NewVerifier(vkey) // a log's; x/mod knows no cosignatures
		if err != nil {
			key, err = cosigned.NewVerifierForCosignatureV1(vkey)
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	opened, err := note.Open(text, note.VerifierList(keys...))
	if err != nil {
		return nil, err
	}
	if len(opened.Sigs) != len(keys) {
		return nil, fmt.Errorf("%d of %d keys have signed", len(opened.Sigs), len(keys))
	}
	var checkpoint formats.Checkpoint
	if _, err := checkpoint.Unmarshal([]byte(opened.Text)); err != nil {
		return nil, err
	}
	fmt.Println(checkpoint.Origin, checkpoint.Size)
	return &checkpoint, nil
}
