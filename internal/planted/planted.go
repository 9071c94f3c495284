//go:build planted

// Package planted says which mistake was planted in this build, so that a test
// can see the simulation find it. Nothing of it is in tenu: the places that ask
// are written into a copy of the code (internal/sim/planted_test.go).
package planted

import "os"

var name = os.Getenv("TENU_PLANTED")

// Is reports whether this is the mistake.
func Is(mistake string) bool { return name == mistake }
