//go:build tools

// Programs that are built beside ours, of the versions in go.mod.
package tools

import (
	_ "filippo.io/torchwood/cmd/litewitness"
	_ "github.com/transparency-dev/tessera/cmd/experimental/mirror/posix"
)
