//! The recipes of a plan, each once.

use crate::plan::Recipe;

/// Numbers recipes: equal ones share a number.
#[derive(Clone, Debug, Default)]
pub struct RecipeTable {
    recipes: Vec<Recipe>,
}

impl RecipeTable {
    /// Returns the number of a recipe, whatever number it carries.
    pub fn number(&mut self, mut recipe: Recipe) -> u32 {
        for known in &self.recipes {
            recipe.recipe = known.recipe;
            if recipe == *known {
                return known.recipe;
            }
        }
        recipe.recipe = u32::try_from(self.recipes.len()).unwrap_or(u32::MAX);
        let number = recipe.recipe;
        self.recipes.push(recipe);
        number
    }

    /// The recipes, by number.
    #[must_use]
    pub fn recipes(&self) -> &[Recipe] {
        &self.recipes
    }
}
