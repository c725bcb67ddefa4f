package maillog

import "hash/maphash"

// Join remembers what the lines of a message say together.
type Join struct {
	seed maphash.Seed
}

// NewJoin makes an empty memory.
func NewJoin() *Join { return &Join{seed: maphash.MakeSeed()} }
