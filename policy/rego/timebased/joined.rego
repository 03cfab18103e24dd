# Puts the area in force: what it denies is denied.
package assent.authz

import data.assent.library.timebased

deny contains reason if some reason in timebased.deny
