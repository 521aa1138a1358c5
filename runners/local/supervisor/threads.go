package supervisor

import (
	"runtime"
	"sync"
)

// keepThreads has the runtime begin n threads, which it keeps. It ends a process that
// cannot have one more: where programs have used up what their user, or a
// container, may have, the supervisor would be lost with all that it knows.
func keepThreads(n int) {
	var all, begun sync.WaitGroup
	begun.Add(n)
	for range n {
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			begun.Done()
			begun.Wait()
		})
	}
	all.Wait()
}
