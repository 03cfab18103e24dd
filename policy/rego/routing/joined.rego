# Puts the area in force: what it denies is denied.
package assent.authz

import data.assent.library.routing

deny contains reason if some reason in routing.deny
