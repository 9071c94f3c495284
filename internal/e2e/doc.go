// Package e2e holds the tests that run the whole system as an operator would:
// tenu serve as a process of its own, the real CGRateS as charging system, a
// sandbox wallet over HTTP, real databases; and stop, kill and continue them at
// the worst moments. It has no code beside its tests.
package e2e
