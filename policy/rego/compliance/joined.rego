# Puts the area in force: its denials are final, its obligations are added.
package assent.authz

import data.assent.library.compliance

deny contains reason if some reason in compliance.deny

obligations contains obligation if some obligation in compliance.obligations
