// Package planted is the switch of the defects that a test plants in copies of
// the source, to prove that the simulation finds them. It is empty unless the
// build tag planted is set, and no source file imports it: the copies do.
package planted
