//go:build mutation

package crashpoint

// Breakable reports whether this build can break anything.
const Breakable = true

// Broken reports whether the drill wants a guarantee broken.
func Broken(m Mutation) bool {
	r := armed.Load()
	return r != nil && r.script.Break == m
}
