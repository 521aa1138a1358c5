package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/zclconf/go-cty/cty"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// exports are what a boot program left, by name. nil: it has not ended.
type exports = map[string]cty.Value

// known is what the plan may be told of the service.
func (svc *service) known(e exports) plan.Known {
	svc.mu.Lock()
	f, id := svc.note.Facts, svc.row.InstanceID
	svc.mu.Unlock()
	k := plan.Known{InstanceID: id, Exports: e}
	if f != nil {
		k.Address, k.PrivateAddress, k.PublicAddress, k.WorkDir = f.Address, f.Private, f.Public, f.WorkDir
	}
	return k
}

// beginVerify records the end of the boot phase, with the attributes that came of it.
func (s *Session) beginVerify(svc *service) error {
	attributes, withheld := svc.spec.Public(svc.tree.Secrets())
	svc.edit(func(row *state.Service) { row.Attributes, row.Withheld = attributes, withheld })
	svc.note.Booted = true
	ticket := s.advance(svc, state.Verifying, "")
	if !svc.spec.HasChecks && len(svc.wrote) == 0 {
		return nil // nothing that others can see follows at once
	}
	return ticket.Wait()
}

// restoreServices tells the plan what earlier commands learned of its services. Of one whose exports a reload has
// declared otherwise nothing is known until it was brought up again.
func (s *Session) restoreServices() error {
	for _, svc := range s.services {
		if err := s.restoreKnown(svc); err != nil && svc.note.Generation == s.Run().Generation {
			return err
		}
	}
	return nil
}

// restoreKnown tells the plan what earlier commands learned of a service. Exports that are sensitive
// were not kept: recallSecrets reads them from the host.
func (s *Session) restoreKnown(svc *service) error {
	row := svc.snapshot()
	if svc.note.Facts == nil {
		return nil
	}
	if row.Attributes == nil {
		svc.tree.Learn(svc.spec, svc.known(nil))
		return nil
	}
	restored, err := svc.spec.RestoreExports(row.Attributes, row.Withheld)
	if err != nil {
		return s.opts.DB.Damaged("service "+row.Address, "attributes that cannot be read: "+err.Error())
	}
	svc.tree.Learn(svc.spec, svc.known(restored))
	return nil
}

// recallSecrets reads again, from the service's own exports file, the exports that are not kept in the store.
func (s *Session) recallSecrets(ctx context.Context, svc *service) error {
	svc.recall.Lock()
	defer svc.recall.Unlock()
	if svc.exportsKnown || !svc.withholds() {
		return nil
	}
	left, err := svc.host.ReadFile(ctx, runners.DirName(svc.address()), svc.note.User, exportsFile+svc.note.Boot, runners.MaxCollect)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // without the file it left none: what was withheld is an attribute
		return fmt.Errorf("read the sensitive exports of %s again: %w", svc.address(), err)
	}
	got, _, err := svc.spec.ParseExports(left)
	if err != nil {
		return err
	}
	svc.tree.Learn(svc.spec, svc.known(got))
	svc.exportsKnown = true
	if svc.tree != s.tree {
		s.keepKnown(svc)
	}
	return nil
}

// keepKnown spares those that use the service's exports in its former plan to read them: it may be ended by then.
func (s *Session) keepKnown(svc *service) {
	if then := s.former[svc.note.Generation].services[svc.address()]; then != nil && then != svc {
		then.recall.Lock()
		then.exportsKnown = true
		then.recall.Unlock()
	}
}

// withholds says whether the service has exports that only its host keeps.
func (svc *service) withholds() bool {
	return svc.host != nil && svc.note.Boot != "" && len(svc.snapshot().Withheld) > 0
}

// recallUsed reads again the sensitive exports of other services that this one uses: the store does not keep them.
func (s *Session) recallUsed(ctx context.Context, svc *service) error {
	if !s.withheld {
		return nil
	}
	var err error
	svc.spec.Uses(func(used *plan.Service) bool {
		other := s.beside(svc, used)
		if other == nil || other == svc || len(other.snapshot().Withheld) == 0 {
			return true
		}
		if _, err = s.hostOf(ctx, other, func() {}); err == nil {
			err = s.recallSecrets(ctx, other)
		}
		if gone(err) || err != nil && other.status() == state.Terminated {
			err = nil // what it kept is gone with it
		}
		return err == nil
	})
	if err != nil {
		return fmt.Errorf("what %s uses: %w", svc.address(), err)
	}
	return nil
}
