//go:build drill

package journal

const powerCuts = 1000
