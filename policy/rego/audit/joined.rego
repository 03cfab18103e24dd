# Puts the area in force: its denials are final, its obligations are added.
package assent.authz

import data.assent.library.audit

deny contains reason if some reason in audit.deny

obligations contains obligation if some obligation in audit.obligations
