//go:build planted

package planted

import "os"

// chosen is the one defect of this process.
var chosen = os.Getenv("TENU_PLANTED")

// Is reports whether the process has the defect.
func Is(name string) bool { return name == chosen }

// Or is one of two values.
func Or[T any](planted bool, mistaken, right T) T {
	if planted {
		return mistaken
	}
	return right
}
