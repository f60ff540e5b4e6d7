//go:build !mutation

package crashpoint

// Breakable reports whether this build can break anything.
const Breakable = false

// Broken reports whether the drill wants a guarantee broken. Without the build tag
// `mutation` it never does, and the compiler leaves out what would follow.
func Broken(Mutation) bool { return false }
