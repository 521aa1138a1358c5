package plan

import "slices"

// A site is an expression of a service, and what it may refer to from where it stands.
type site struct {
	what     string
	self     selfScope
	instance bool
	x        *expression
}

// sites lists every expression of a service.
func (b *serviceBlock) sites() []site {
	var sites []site
	add := func(what string, self selfScope, instance bool, xs ...*expression) {
		for _, x := range xs {
			if x != nil {
				sites = append(sites, site{what, self, instance, x})
			}
		}
	}
	add("count", noSelf, false, b.count)
	add("for_each", noSelf, false, b.forEach)
	add("enabled", noSelf, false, b.enabled)
	add("on", noSelf, true, b.on)
	add("host", noSelf, true, b.host)
	add("user_data", noSelf, true, b.userData)
	add("runner", noSelf, true, b.runner)
	for _, a := range b.attributes {
		add("attributes", selfFacts, true, a.value)
	}
	for _, f := range b.files {
		add("a file block", selfAttributes, true, f.content, f.source, f.mode)
	}
	for _, p := range []*programBlock{b.boot, b.process} {
		if p != nil {
			add("the "+p.kind+" block", selfAttributes, true, p.expressions()...)
		}
	}
	if b.terminate != nil {
		add("the terminate block", selfAll, true, b.terminate.expressions()...)
	}
	for _, p := range append(slices.Clone(b.ready), b.gone...) {
		add("a "+p.kind+" block", selfAll, true, p.expressions()...)
	}
	return sites
}

func (p *programBlock) expressions() []*expression {
	return []*expression{p.program, p.args, p.command, p.script, p.env, p.dir, p.user, p.timeout, p.retries, p.retryDelay, p.stopSignal, p.stopTimeout}
}

func (p *probeBlock) expressions() []*expression {
	xs := []*expression{p.tcp, p.log, p.timeout, p.interval, p.attempts, p.from}
	if p.http != nil {
		xs = append(xs, p.http.url, p.http.status, p.http.body)
	}
	if p.program != nil {
		xs = append(xs, p.program.expressions()...)
	}
	return xs
}
