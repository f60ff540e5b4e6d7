//go:build !drill

package parquet

const powerCuts = 100 // `make drill` does 1,000
