# Puts the area in force: what it denies is denied.
package assent.authz

import data.assent.library.rbac

deny contains reason if some reason in rbac.deny
