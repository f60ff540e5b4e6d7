package journal
func childAppendsUntilKilled(dir string) {}
