# Puts the area in force: its denials are final, its obligations are added.
package assent.authz

import data.assent.library.ratelimit

deny contains reason if some reason in ratelimit.deny

obligations contains obligation if some obligation in ratelimit.obligations
