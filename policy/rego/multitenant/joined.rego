# Puts the area in force: its denials are final, its obligations are added.
package assent.authz

import data.assent.library.multitenant

deny contains reason if some reason in multitenant.deny

obligations contains obligation if some obligation in multitenant.obligations
