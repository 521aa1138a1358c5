package supervisor

// punch leaves the file as it is: only APFS can free a part of one, and only in a way that x/sys does not offer.
func punch(string, int64, int64) error { return nil }
