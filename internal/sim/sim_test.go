package sim

import (
	"os"
	"strconv"
	"testing"
)

func TestSimulation(t *testing.T) {
	n, seed, world := 5000, 1, 0
	if v := os.Getenv("N"); v != "" {
		n, _ = strconv.Atoi(v)
	}
	if v := os.Getenv("SEED"); v != "" {
		seed, _ = strconv.Atoi(v)
	}
	o := Options{Seed: uint64(seed), Purchases: n, Workers: 2}
	if v := os.Getenv("WORLD"); v != "" {
		world, _ = strconv.Atoi(v)
		o.World, o.Trace = world, os.Stdout
	}
	if v := os.Getenv("BUYER"); v != "" {
		b, _ := strconv.Atoi(v)
		o.Buyers = []int{b}
	}
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", *r)
	for _, v := range r.Violations {
		t.Error(v)
	}
}
