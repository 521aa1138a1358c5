package plan

// unused warns of what is declared and has no effect.
func (c *checker) unused() {
	for _, v := range c.module.variableList {
		if !v.used {
			c.diags = append(c.diags, warning(v.Range, "Unused variable", "Nothing refers to var.%s.", v.Name))
		}
	}
	for _, local := range c.module.localList {
		if !local.used {
			c.diags = append(c.diags, warning(local.rng, "Unused local", "Nothing refers to local.%s.", local.name))
		}
	}
	for _, level := range c.module.levelList {
		if level.module == nil {
			continue
		}
		for _, o := range level.module.outputList {
			if !level.outputsUsed[o] {
				c.diags = append(c.diags, warning(level.rng, "Output out of reach",
					"The plan of level %q has an output %q that nothing refers to, and only outputs of this plan itself are shown. To show it, write output %q { value = level.%s.%s }.",
					level.name, o.name, o.name, level.name, o.name))
			}
		}
	}
}
