//go:build drill

package parquet

const powerCuts = 1000
