// Judges signatures by Go's own Ed25519, and by x/mod's notes: JSON cases on stdin, one JSON answer for each on stdout.
package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
)

type testCase struct {
	PK, Msg, Sig, Vkey string
}

type verdict struct {
	Go   bool `json:"go"`
	Note bool `json:"note"`
}

func main() {
	var cases []testCase
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		fail(err)
	}
	verdicts := make([]verdict, len(cases))
	for at, each := range cases {
		public, message, signature := bytesOf(each.PK), bytesOf(each.Msg), bytesOf(each.Sig)
		verdicts[at].Go = len(public) == ed25519.PublicKeySize && ed25519.Verify(public, message, signature)
		if key, err := note.NewVerifier(each.Vkey); err == nil {
			verdicts[at].Note = key.Verify(message, signature)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(verdicts); err != nil {
		fail(err)
	}
}

func bytesOf(text string) []byte {
	data, err := hex.DecodeString(text)
	if err != nil {
		fail(err)
	}
	return data
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(2)
}
