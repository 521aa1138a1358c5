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
}
