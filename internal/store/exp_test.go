package store

import (
	"os"
	"testing"
)

func BenchmarkPG(b *testing.B) { benchCommit(b, os.Getenv("PGX"), 512, 2) }
