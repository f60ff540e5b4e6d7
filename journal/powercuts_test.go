//go:build !drill

package journal

const powerCuts = 150 // `make drill` does 1,000
