# Puts the area in force: its denials are final, its obligations are added.
package assent.authz

import data.assent.library.resources

deny contains reason if some reason in resources.deny

obligations contains obligation if some obligation in resources.obligations
